"""`segloom eval` through the program's entry: printing, defaults from the run, exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from segloom.cli.main import main


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    shutil.copytree(trained, folder)
    return folder


def test_tables_and_the_report_are_written(run, capsys):
    assert main(["eval", str(run), "--montages", "1"]) == 0
    out, err = capsys.readouterr()
    assert "mIoU" in out
    assert "95 % interval" in out
    assert "thing" in out
    assert "60-199 px" in out
    assert "Void pixels" in out
    report = run / "eval" / "test" / "report.html"
    assert f"report: {report}" in out
    assert report.stat().st_size > 1000
    assert err.splitlines()[0] == "measuring 5 images"
    assert err.splitlines()[-1] == "measured 5 of 5 images"


def test_json_is_the_metrics_and_flags_go_over_the_runs_own(run, capsys):
    words = ["eval", str(run), "--json", "--inference.flip", "True", "--inference.scales", "0.75"]
    assert main([*words, "1", "--bootstrap", "0"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["inference"]["flip"] is True
    assert metrics["inference"]["scales"] == [0.75, 1.0]
    assert metrics["size"]["limits"] == [60, 200]  # of the run's config.yaml
    assert metrics["intervals"] == {}
    assert metrics["report"] == str(run / "eval" / "test" / "report.html")


def test_boundary_f_of_davis_is_printed_and_reported(run, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    words = ["eval", str(copy), "--montages", "0", "--davis-tolerances", "0.05", "3"]
    assert main(words) == 0
    table = capsys.readouterr().out.split("boundary of DAVIS within")[1]
    assert "5 % (4 px)" in table
    assert "3 px" in table
    report = (copy / "eval" / "test" / "report.html").read_text()
    section = report.split('<section id="davis"')[1].split("</section>")[0]
    assert "5 % of the diagonal" in section
    assert "3 pixels" in section
    assert section.count("thing") == 2


def test_missing_split_is_a_sentence_and_exit_code_2(run, capsys):
    assert main(["eval", str(run), "--split", "val"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("segloom: ")
    assert "val" in err


def test_folder_without_a_run_is_exit_code_2(tmp_path, capsys):
    assert main(["eval", str(tmp_path)]) == 2
    assert "neither a run nor a model directory" in capsys.readouterr().err


def test_unknown_flag_is_exit_code_2(run, capsys):
    assert main(["eval", str(run), "--splitt", "test"]) == 2
    assert "did you mean '--split'?" in capsys.readouterr().err


def test_interrupt_says_how_to_go_on_and_is_exit_code_130(run, capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("segloom.inference.Predictor.label_map", stop)
    assert main(["eval", str(run), "--inference.overlap", "0.25"]) == 130
    err = capsys.readouterr().err
    assert "the same command goes on from here" in err
    assert "segloom: stopped" in err


def test_bar_is_shown_on_a_terminal(run, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(["eval", str(run), "--montages", "0", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "5/5" in err
    json.loads(out)


def test_help_does_not_import_torch():
    code = (
        "import sys\nfrom segloom.cli.main import main\n"
        "try:\n    main(['eval', '--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
