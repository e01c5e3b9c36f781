"""Who may import whom, as ARCHITECTURE.md draws it."""

from __future__ import annotations

from importlinter.cli import lint_imports


def test_every_room_imports_only_the_rooms_below_it(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    # It would disable every logger of the process, which other tests listen to.
    monkeypatch.setattr("importlinter.cli.logging_config.dictConfig", lambda config: None)
    assert lint_imports(no_cache=True) == 0
