import pytest
from lxml import etree

from gateway.routing.paths import MAX_VALUE, MAX_VALUES, compile_paths, is_path


def content(xml: str) -> etree._Element:
    return etree.fromstring(f"<Content>{xml}</Content>")


@pytest.mark.parametrize("text", ["A/B", "A/B/C", "A_1/B-2/C.3", "PhytosanitaryCer/ProductList/Product/ProductName"])
def test_names_joined_by_slashes_are_paths(text: str) -> None:
    assert is_path(text)


@pytest.mark.parametrize("text", ["", "A", "/A/B", "A//B", "A/", "A/*", "A/@b", "A/B[1]", "A /B", "A/b:C", "A/..", "A/B\n", "1A/B", "Á/B"])
def test_whatever_else_is_no_path(text: str) -> None:
    assert not is_path(text)


def test_paths_are_read_in_document_order() -> None:
    paths = compile_paths([("number", "C/Number"), ("line", "C/Lines/Line/Item"), ("file", "C/File")])

    found = paths.read(
        content("<C><File>f</File><Number>n</Number><Lines><Line><Item>1</Item></Line><Line><Item>2</Item></Line></Lines></C>")
    )

    assert found == [("file", "f"), ("number", "n"), ("line", "1"), ("line", "2")]


def test_paths_that_end_in_one_name_are_told_apart() -> None:
    paths = compile_paths([("own", "C/Number"), ("line", "C/Lines/Line/Number"), ("other", "D/Number"), ("file", "C/File")])

    found = paths.read(content("<C><Lines><Line><Number>1</Number></Line></Lines><Number>n</Number><File>f</File></C>"))

    assert sorted(found) == [("file", "f"), ("line", "1"), ("own", "n")]


def test_one_path_feeds_several_labels() -> None:
    tree = compile_paths([("a", "C/N"), ("b", "C/N")])

    assert tree.read(content("<C><N>1</N></C>")) == [("a", "1"), ("b", "1")]


def test_path_and_its_continuation_are_both_read() -> None:
    tree = compile_paths([("outer", "C/N"), ("inner", "C/N/M")])

    assert tree.read(content("<C><N>x<M>y</M></N></C>")) == [("outer", "x"), ("inner", "y")]


def test_text_is_stripped_and_empty_text_left_out() -> None:
    tree = compile_paths([("n", "C/N")])

    assert tree.read(content("<C><N> 1 </N><N>  </N><N/></C>")) == [("n", "1")]


def test_text_too_long_for_an_index_is_left_out() -> None:
    tree = compile_paths([("n", "C/N")])

    assert tree.read(content(f"<C><N>{'x' * (MAX_VALUE + 1)}</N><N>{'x' * MAX_VALUE}</N></C>")) == [("n", "x" * MAX_VALUE)]


def test_values_stop_at_the_limit() -> None:
    tree = compile_paths([("n", "C/N")])

    assert len(tree.read(content("<C>" + "<N>1</N>" * (MAX_VALUES + 5) + "</C>"))) == MAX_VALUES


def test_no_paths_read_nothing() -> None:
    assert compile_paths([]).read(content("<C><!-- a comment --><N>1</N></C>")) == []


def test_comments_inside_are_passed_over() -> None:
    assert compile_paths([("n", "C/N")]).read(content("<C><!-- x --><N>1</N></C>")) == [("n", "1")]


def test_names_in_a_namespace_do_not_match() -> None:
    assert compile_paths([("n", "C/N")]).read(content('<C xmlns="urn:x"><N>1</N></C>')) == []
