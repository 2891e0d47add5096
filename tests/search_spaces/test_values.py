from search_spaces.values import counted


def test_a_count_has_the_singular_or_the_plural_of_its_noun() -> None:
    assert [counted(count, "run") for count in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
