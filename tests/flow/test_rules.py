"""Rules: a raised number makes the steps of its kind stale, says why, and keeps nothing of theirs."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tiny import World
from tmkd.flow import rules
from tmkd.flow.plan import states, steps
from tmkd.flow.rules import Rules, rules_of
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import KEPT_UNDER, RULES, Step
from tmkd.recipe.reader import read_recipe
from tmkd.store import json_bytes, read_manifest, sealed


def opened(world: World) -> RunFolder:
    return RunFolder(read_recipe(world.recipe), world.recipe.parent, world.run)


def kinds(run: RunFolder) -> dict[str, set[str]]:
    """States of the steps, by the kind of step."""
    found: dict[str, set[str]] = {}
    for step, now, _ in states(run):
        found.setdefault(step.name.partition("/")[0], set()).add(now.kind)
    return found


def as_before_rules(run: RunFolder) -> None:
    """Write the manifests of a finished run as a tmkd without rules and versions did."""
    for step in steps(run):
        manifest = sealed(step.folder)
        inputs = {**manifest.inputs, **{name: sealed(folder).digest for name, folder in step.needs.items()}}
        settings = {key: value for key, value in manifest.settings.items() if key != RULES}
        old = asdict(replace(manifest, inputs=inputs, settings=settings))
        del old["versions"]
        (step.folder / "manifest.json").write_bytes(json_bytes(old))


def test_a_step_is_found_by_its_name_or_the_first_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "RULES", {"collect": Rules(2, "texts"), "export/bundle": Rules(1, "bundles")})
    assert rules_of("collect/web") == (2, "texts")
    assert rules_of("export/bundle") == (1, "bundles")
    assert rules_of("export/compat") == (0, "")
    assert rules_of("score/web/t1") == (0, "")


def test_without_rules_a_run_of_an_older_tmkd_is_done(finished: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = opened(finished)
    monkeypatch.setattr(rules, "RULES", {})
    as_before_rules(run)
    assert set.union(*kinds(run).values()) == {"done"}


def test_an_upgraded_run_is_stale_where_the_rules_changed_with_the_reason(finished: World) -> None:
    run = opened(finished)
    as_before_rules(run)
    whys = {step.name: now.why for step, now, _ in states(run)}
    for step in steps(run):
        number, why = rules_of(step.name)
        if number:
            assert whys[step.name] == f"rules 0, this tmkd has {number}: {why}"
        else:  # done, or stale for what it needs alone
            assert not whys[step.name].startswith("rules")


def test_only_steps_that_need_a_stale_step_are_stale_beside_it(
    finished: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(finished)
    now = dict(rules.RULES)
    monkeypatch.setattr(rules, "RULES", {**now, "evaluate": Rules(rules_of("evaluate/x").number + 1, "measures")})
    assert {kind for kind, found in kinds(run).items() if found != {"done"}} == {"evaluate"}
    monkeypatch.setattr(rules, "RULES", {**now, "score": Rules(rules_of("score/x").number + 1, "scores")})
    assert {kind for kind, found in kinds(run).items() if found != {"done"}} == {"score", "distill", "evaluate"}


def test_files_made_under_other_rules_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def make(folder: Path) -> dict[str, int]:
        seen.append(sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")))
        (folder / "shard").write_text("made")
        return {}

    def step(setting: int) -> Step:
        return Step("collect/web", "collect", tmp_path / "web", {}, {"setting": setting}, make, keep=("shard",))

    monkeypatch.setattr(rules, "RULES", {})
    step(1).execute()
    step(2).execute()
    assert seen == [[], ["shard"]]
    monkeypatch.setattr(rules, "RULES", {"collect": Rules(1, "texts")})
    assert step(2).state().why == "rules 0, this tmkd has 1: texts"
    step(2).execute()
    assert seen[2] == []
    assert (tmp_path / "web" / KEPT_UNDER).read_text() == "1"
    assert sealed(tmp_path / "web").settings == {"setting": 2, "rules": 1}
    step(3).execute()
    assert seen[3] == ["shard"]
    assert step(3).state().kind == "done"


def test_a_folder_that_keeps_no_file_has_none_with_the_number_of_its_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "RULES", {"export/bundle": Rules(1, "bundles")})
    Step("export/bundle", "export", tmp_path / "bundle", {}, {}, lambda folder: {}).execute()
    assert [path.name for path in (tmp_path / "bundle").iterdir()] == ["manifest.json"]
    assert sealed(tmp_path / "bundle").settings == {"rules": 1}


def test_a_manifest_has_versions_that_its_digest_leaves_out(finished: World) -> None:
    folder = opened(finished).folder / "report"
    manifest = sealed(folder)
    assert {"tmkd", "torch", "transformers", "tokenizers"} <= manifest.versions.keys()
    content = json.loads((folder / "manifest.json").read_bytes())
    del content["versions"]
    (folder / "manifest.json").write_bytes(json_bytes(content))
    older = read_manifest(folder)
    assert older is not None
    assert (older.versions, older.digest) == ({}, manifest.digest)
