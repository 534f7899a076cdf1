from __future__ import annotations

from pathlib import Path

import pytest

from lachan.config import ConfigError, parse
from resolver._hot.own import EXACT, SUBTREE
from resolver.ownnames import BLOCKED_MAX, OwnSettings, Rebinding, check, read_files, table


def settings(text: str, base: Path = Path()) -> OwnSettings:
    return parse(text, OwnSettings, base=base)


def test_names_are_brought_into_one_form() -> None:
    own = settings("{allow: [{name: Trường.EXAMPLE., reason: a school}], block: [{name: ADS.example.}]}")
    assert own.allow[0].name == "xn--trng-24a7u.example" or own.allow[0].name.startswith("xn--")
    assert (own.block[0].name, own.block[0].scope, own.block[0].action) == ("ads.example", "subtree", "nxdomain")
    check(own, "edge.yaml")
    assert OwnSettings.model_validate_json(own.model_dump_json()) == own


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{allow: [{name: a.example}]}", "allow.0.reason"),
        ("{allow: [{name: a.example, reason: x}]}", "allow.0.reason"),
        ("{allow: [{name: a..example, reason: because}]}", "empty"),
        ("{allow: [{name: ., reason: because}]}", "root"),
        ("{allow: [{name: ☃☃☃.-example, reason: because}]}", "allow.0.name"),
        ("{block: [{name: a.example, scope: half}]}", "block.0.scope"),
        ("{block: [{name: a.example, action: drop}]}", "no action"),
        ("{block: [{name: a.example}, {name: A.example}]}", "block: a.example: a name stands once"),
        ("{allow: [{name: a.example, reason: because}], block: [{name: a.example}]}", "both allowed and blocked"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        settings(text)


def test_every_name_that_no_list_could_carry_is_told() -> None:
    own = settings("{allow: [{name: com.vn, reason: because}], block: [{name: localhost}, {name: fine.example}]}")
    with pytest.raises(ConfigError) as refused:
        check(own, "edge.yaml")
    assert [problem.path for problem in refused.value.problems] == ["own.allow.0", "own.block.0"]


def test_files_of_names_are_read_with_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "ads.txt").write_text("# ours\nads.example\n\nTracker.example. # of ads\nbad.example\n")
    own = read_files(
        settings(
            "{block: [{name: bad.example, action: refused}],"
            " block_files: [{path: ads.txt, action: nodata, scope: exact}]}",
            tmp_path,
        ),
        "edge.yaml",
    )
    assert [(one.name, one.scope, one.action) for one in own.block] == [
        ("bad.example", "subtree", "refused"),
        ("ads.example", "exact", "nodata"),
        ("tracker.example", "exact", "nodata"),
    ]
    assert not own.block_files
    assert OwnSettings.model_validate_json(own.model_dump_json()) == own


def test_every_bad_line_of_every_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("fine.example\nb..ad\n" + "x" * 300 + "\n")
    (tmp_path / "b.txt").write_bytes(b"\xff\n")
    (tmp_path / "c.txt").write_bytes(b"a.example\n" * 110_000)
    files = ", ".join(f"{{path: {name}.txt}}" for name in "abcd")
    with pytest.raises(ConfigError) as refused:
        read_files(settings(f"{{block_files: [{files}]}}", tmp_path), "edge.yaml")
    assert [(p.path, p.message.partition(": ")[0].rpartition("/")[2]) for p in refused.value.problems] == [
        ("own.block_files.0", "a.txt:2"),
        ("own.block_files.0", "a.txt:3"),
        ("own.block_files.1", "b.txt"),
        ("own.block_files.2", "c.txt"),
        ("own.block_files.3", "d.txt"),
    ]


def test_blocked_names_have_a_bound(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"n{number}.example\n" for number in range(BLOCKED_MAX + 1)))
    with pytest.raises(ConfigError, match="15001 blocked names"):
        read_files(settings("{block_files: [{path: a.txt}]}", tmp_path), "edge.yaml")


def test_the_compiled_table_takes_all_of_them() -> None:
    own = settings("{allow: [{name: a.example, reason: because}], block: [{name: b.example, scope: exact}]}")
    assert table(own, ["corp.example"], [("c.example", "exact")], {"nxdomain": 1}) == [
        (b"\1c\7example\0", "override", EXACT, 0),
        (b"\1a\7example\0", "allow", SUBTREE, 0),
        (b"\1b\7example\0", "block", EXACT, 1),
        (b"\4corp\7example\0", "private", SUBTREE, 0),
    ]


def test_schools_are_shielded_unless_said_otherwise() -> None:
    assert [Rebinding().shields(name) for name in ("default", "school")] == [False, True]
    assert not Rebinding(profiles=()).shields("school")
    assert Rebinding(profiles=("default",)).shields("default")
