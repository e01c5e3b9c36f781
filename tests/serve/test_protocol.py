"""KServe's protocol, as Triton's own client and as plain JSON speak it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from support.servers import a_model, by_brightness, picture, running

from segloom.serve.limits import Limits

http = pytest.importorskip("tritonclient.http")

BATCH = np.stack([picture(24, 32), picture(24, 32)[:, ::-1]])
TRUE = [by_brightness(image) for image in BATCH]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with running([a_model(), a_model(name="b.2")], Limits(max_pixels=10_000)) as client:
        yield client


@pytest.fixture
def triton(client: httpx.Client) -> Iterator[object]:
    with http.InferenceServerClient(f"127.0.0.1:{client.base_url.port}") as triton:
        yield triton


def test_tritons_client_finds_the_server_and_its_models(triton) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("brightness")
    assert triton.is_model_ready("brightness", "1")
    assert not triton.is_model_ready("missing")
    assert triton.get_server_metadata()["name"] == "segloom"
    assert [m["name"] for m in triton.get_model_repository_index()] == ["brightness", "b.2"]
    about = triton.get_model_metadata("brightness")
    assert about["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    assert about["outputs"][1]["shape"] == [-1, 3, -1, -1]


@pytest.mark.parametrize("is_binary", [True, False])
def test_tritons_client_gets_the_label_maps_and_probabilities(triton, is_binary: bool) -> None:
    image = http.InferInput("image", list(BATCH.shape), "UINT8")
    image.set_data_from_numpy(BATCH, binary_data=is_binary)
    outputs = [
        http.InferRequestedOutput(name, binary_data=is_binary)
        for name in ("labels", "probabilities")
    ]
    answer = triton.infer("brightness", [image], outputs=outputs, request_id="7")
    labels, probabilities = answer.as_numpy("labels"), answer.as_numpy("probabilities")
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, [answer.label_map for answer in TRUE])
    np.testing.assert_array_equal(probabilities, [answer.probabilities for answer in TRUE])
    assert answer.get_response()["id"] == "7"


def test_tritons_client_gets_labels_alone_where_it_names_no_output(triton) -> None:
    image = http.InferInput("image", list(BATCH.shape), "UINT8")
    image.set_data_from_numpy(BATCH)
    answer = triton.infer("b.2", [image], model_version="1")
    np.testing.assert_array_equal(answer.as_numpy("labels"), [a.label_map for a in TRUE])
    assert answer.as_numpy("probabilities") is None


def test_tritons_client_is_told_what_is_wrong(triton) -> None:
    image = http.InferInput("image", [1, 24, 32, 4], "UINT8")
    image.set_data_from_numpy(np.zeros((1, 24, 32, 4), np.uint8))
    with pytest.raises(Exception, match=r"brightness takes \(batch, height, width, 3\)"):
        triton.infer("brightness", [image])


def test_nested_lists_are_tensors_too(client: httpx.Client) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [*BATCH.shape], "data": BATCH.tolist()}
    answer = client.post("/v2/models/brightness/infer", json={"inputs": [tensor]}).json()
    (output,) = answer["outputs"]
    assert (output["name"], output["shape"]) == ("labels", [2, 24, 32])
    assert output["data"] == np.stack([a.label_map for a in TRUE]).ravel().tolist()


def _request(**changes: object) -> dict[str, object]:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 1, 2, 3], "data": [0] * 6}
    return {"inputs": [tensor | changes]}


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        ([], 400, "an inference request is a JSON object with inputs"),
        ({}, 400, "has one input: image, UINT8, (batch, height, width, C)"),
        (_request(datatype="FP32"), 400, "has one input: image, UINT8"),
        (_request(shape=[1, 2, 3]), 400, "the shape of image is [1, 2, 3]"),
        (_request(shape=[1, -1, 2, 3]), 400, "the shape of image is [1, -1, 2, 3]"),
        (_request(shape=[1, 2, 2, 3]), 400, "image holds 6 values, but its shape"),
        (_request(shape=[9, 200, 200, 3]), 413, "more than 10,000 pixels"),
        (_request(data=[0, 0, 0, 0, 0, 256]), 400, "whole numbers from 0 to 255"),
        (_request(data=[0, 0, 0, 0, 0, 0.5]), 400, "whole numbers from 0 to 255"),
        (_request(data=[[0, 0], [0]]), 400, "whole numbers from 0 to 255"),
        (_request(data=[]), 400, "whole numbers from 0 to 255"),
        (_request(parameters={"binary_data_size": 6}), 400, "but 0 bytes follow the JSON"),
        (_request() | {"outputs": [{"name": "logits"}]}, 400, "there is no output logits"),
        (_request() | {"outputs": [3]}, 400, "there is no output None"),
        (_request() | {"outputs": [{"name": "labels"}] * 1000}, 400, "labels is asked for twice"),
        (_request(shape=[-1, 1, 2, 3]), 400, "the shape of image is [-1, 1, 2, 3]"),
        (_request(shape=[0, 1, 2, 3]), 400, "the shape of image is [0, 1, 2, 3]"),
        (_request(shape=[1, 1, 2, 4]), 400, "takes (batch, height, width, 3)"),
        (_request(shape=[2**62, 2**62, 2, 3]), 413, "more than 10,000 pixels"),
        (_request(shape="1123"), 400, "has one input: image, UINT8"),
        (_request(data=[10**300] * 6), 400, "whole numbers from 0 to 255"),
        (_request(data=None), 400, "whole numbers from 0 to 255"),
        (_request(data={"0": 0}), 400, "whole numbers from 0 to 255"),
    ],
)
def test_a_wrong_request_is_one_sentence(
    client: httpx.Client, content: object, status: int, sentence: str
) -> None:
    answer = client.post("/v2/models/brightness/infer", json=content)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]


@pytest.mark.parametrize("length", ["x", "-1", "1000", "3"])
def test_a_wrong_length_of_the_head_is_one_sentence(client: httpx.Client, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    answer = client.post("/v2/models/brightness/infer", content=b"{}...", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 1_000_000, b'{"inputs": ['])
def test_what_is_no_json_is_one_sentence(client: httpx.Client, content: bytes) -> None:
    for body in (content, iter([content])):  # the second comes in chunks, without its length
        answer = client.post("/v2/models/brightness/infer", content=body)
        assert answer.status_code == 400
        assert answer.json() == {"error": "the body is no JSON of an inference request."}


@pytest.mark.parametrize(
    "name", ["..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "..", "%00", "brightness%2F..%2Fb.2"]
)
def test_a_name_is_never_a_path(client: httpx.Client, name: str) -> None:
    for path in (f"/v2/models/{name}/infer", f"/v1/segment?model={name}"):
        answer = client.post(path, json=_request())
        assert answer.status_code == 404
        assert answer.json()["error"]


def test_a_tensor_that_is_large_as_json_is_asked_for_as_binary(client: httpx.Client) -> None:
    answer = client.post("/v2/models/brightness/infer", content=b" " * (8 * 2**20 + 1))
    assert answer.status_code == 413
    assert "send the tensor as binary data" in answer.json()["error"]


def test_other_names_and_versions_are_404(client: httpx.Client) -> None:
    for path in ("brightnes", "brightness/versions/2", "brightness/versions/2/ready"):
        answer = client.get(f"/v2/models/{path}")
        assert answer.status_code == 404
        assert "brightness" in answer.json()["error"]
