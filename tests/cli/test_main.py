"""The program as a user meets it: help, mistakes, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from segloom.cli.main import VERBS, main
from segloom.cli.options import parse
from segloom.config import RunConfig
from segloom.config.load import load_run_config
from segloom.data.cache import default_cache_dir
from segloom.errors import ConfigError


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in VERBS)


@pytest.mark.parametrize("words", [["--help"], *([verb, "--help"] for verb in VERBS)])
def test_help_never_imports_torch(words):
    if words[0] == "train":
        words = ["train", "camvid", "--help"]
    program = (
        "import sys\nfrom segloom.cli.main import main\n"
        f"try:\n    code = main({words!r})\nexcept SystemExit as stop:\n    code = stop.code\n"
        "heavy = {'torch', 'lightning', 'timm', 'matplotlib', 'scipy', 'cv2'} & set(sys.modules)\n"
        "print(code, sorted(heavy), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.strip().splitlines()[-1] == "0 []", done.stderr


def test_importing_segloom_imports_neither_torch_nor_pydantic():
    program = "import sys, segloom; print({'torch', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_an_unknown_command_suggests_the_nearest(capsys):
    assert main(["trian"]) == 2
    assert "unknown command 'trian': did you mean 'train'?" in capsys.readouterr().err


def test_a_name_cannot_act_on_the_terminal(tmp_path, capsys):
    path = tmp_path / "\x1b[31mred\udcff.yaml"
    path.write_text("- 1\n")
    assert main(["train", str(path)]) == 2
    error = capsys.readouterr().err
    assert "\\x1b[31mred\\udcff.yaml must hold sections" in error
    assert "\x1b" not in error


def test_an_error_is_one_sentence_and_exit_code_2(capsys):
    assert main(["train", "camvdi"]) == 2
    error = capsys.readouterr().err
    assert error == "segloom: unknown recipe 'camvdi': did you mean 'camvid'?\n"


def test_debug_shows_the_error_itself():
    with pytest.raises(ConfigError):
        main(["train", "camvdi", "--debug"])


def test_options_override_the_recipe():
    words = [
        "--data.root",
        "x",
        "--model.enhancements",
        "afma",
        "celt",
        "--loss.terms",
        "dice",
        "2",
    ]
    config = parse(RunConfig, words, verb="train", default=load_run_config("camvid"))
    assert str(config.data.root) == "x"
    assert config.model.enhancements == ("afma", "celt")
    assert config.loss.terms == {"dice": 2.0}
    assert config.data.crop == load_run_config("camvid").data.crop


def test_an_unknown_option_ends_with_the_nearest_and_code_2(capsys):
    assert main(["train", "demo", "--modle.architecture", "fpn"]) == 2
    error = capsys.readouterr().err
    assert error == (
        "segloom: unknown option '--modle.architecture': did you mean '--model.architecture'?\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "camvdi"], "unknown recipe 'camvdi': did you mean 'camvid'?"),
        (["train", "list"], "list is a reader of data and no recipe; write `segloom train folder"),
        (["train", "camvid"], "needs a folder; give it with --data.root DIR"),
        (["train", "camvid", "--data.root", "/nowhere"], "/nowhere is not a folder"),
        (["train", "demo", "--model.architecture", "unett"], "did you mean 'unet'?"),
        (["train", "demo", "--model.enhancements", "amfa:level=2"], "did you mean 'afma'?"),
        (["train", "demo", "--data.name", "camvit", "--print-config"], "did you mean 'camvid'?"),
    ],
)
def test_a_trivial_mistake_is_answered_without_torch(words, message):
    program = (
        "import sys\nfrom segloom.cli.main import main\n"
        f"code = main({words!r})\nprint(code, 'torch' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    first, last = done.stderr.strip().splitlines()
    assert message in first
    assert last == "2 False"


def test_list_prints_json(capsys):
    assert main(["list", "enhancements", "--json"]) == 0
    assert {"afma", "celt"} <= set(json.loads(capsys.readouterr().out))


def test_list_filters_encoders(capsys):
    assert main(["list", "encoders", "--pattern", "*efficientnet_lite0"]) == 0
    assert "tu-tf_efficientnet_lite0" in capsys.readouterr().out.split()


def test_list_shows_what_there_is_to_know_of_an_encoder(capsys):
    assert main(["list", "encoders", "--pattern", "tu-test_vit", "--details"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("tu-test_vit  ")
    assert "0.3 M parameters" in line
    assert "licence apache-2.0  strides 16  decoders: dpt, linear, eomt as it is" in line
    assert main(["list", "encoders", "--pattern", "tu-test_vit", "--details", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["name"] == "tu-test_vit"
    assert found["side"] == 160


def test_list_leaves_out_weights_under_other_licences(capsys):
    words = ["list", "encoders", "--pattern", "tu-vit_small_patch1*_dinov?"]
    assert main(words) == 0
    assert "tu-vit_small_patch16_dinov3" in capsys.readouterr().out.split()
    assert main([*words, "--license", "permissive"]) == 0
    shown = capsys.readouterr().out.split()
    assert "tu-vit_small_patch14_dinov2" in shown
    assert "tu-vit_small_patch16_dinov3" not in shown
    assert main(["list", "archs", "--license", "permissive"]) == 2
    assert "--license goes with `segloom list encoders`." in capsys.readouterr().err


def test_doctor_passes_here(capsys):
    assert main(["doctor", "--json"]) == 0
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["torchvision operators"]["ok"]
    assert checks["cache of decoded images"]["detail"].startswith(str(default_cache_dir()))


def test_a_reader_that_goes_away_is_no_error():
    program = "from segloom.cli.main import main; import sys; sys.exit(main(['list', 'recipes']))"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 141
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
