"""Rules of the form of a text that the model reads."""

from __future__ import annotations

from uuid import UUID

import duckdb
import pytest

from receiver.decode.text_form import is_noise_value, mask, model_text, split_identifiers, text_id


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("order 550e8400-e29b-41d4-a716-446655440000 failed", "order # failed"),
        ("trace 4bf92f3577b34da6a3ce929d0e0e4736", "trace #"),
        ("pod checkout-7f8c9d6b5-x2x4z", "pod checkout-#-x2x4z"),
        ("at 0x7ffdeadbeef1 in main", "at # in main"),
        ("user 1234567 in cart 99999", "user # in cart #"),
        ("GET /orders/1234567/items", "GET /orders/#/items"),
        ("order-1234567 user_123456 id=123456", "order-# user_# id=#"),
        ("took 12345.678 ms, ratio 0.123456", "took # ms, ratio #"),
        ("2024-10-22T12:34:56.123456Z started", "# started"),
        ("done after 12345.", "done after #."),
    ],
)
def test_noise_is_masked(text: str, masked: str) -> None:
    """Ids, hashes, long numbers and times of day become the mask, and nothing beside them changes."""
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "HTTP 404 after 9999 ms",
        "ORA-00942: table or view does not exist",
        "CVE-2024-12345 is fixed",
        "failed with error 10061",
        "status code: 50013",
        "HRESULT 0x80070005",
        "nginx 1.24.3 on 10.0.19045",
        "chat gpt-4o",
        "chat gpt-4o-2024-08-06",
        "chat claude-3-5-sonnet-20241022",
        "chat claude-3-5-sonnet@20240620",
        "deadbeef and facade are words",
        "utf8 sha256 x86_64 12345ms E12345",
        "10.0.0.12:8080",
    ],
)
def test_what_has_a_meaning_is_not_masked(text: str) -> None:
    """Status codes, error codes, versions, model names and words stay, digit for digit."""
    assert mask(text) == text


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("oteldemo.CartService/AddItem", "oteldemo Cart Service Add Item"),
        ("prepareOrderItemsAndShippingQuoteFromCart", "prepare Order Items And Shipping Quote From Cart"),
        ("HTTPServer", "HTTP Server"),
        ("getHTTPResponseCode", "get HTTP Response Code"),
        ("parseURLs", "parse URLs"),
        ("checkout-service", "checkout service"),
        ("user_id", "user id"),
        ("std::vector", "std vector"),
        ("App\\Http\\Kernel", "App Http Kernel"),
        ("grpc.v1.CartService", "grpc v1 Cart Service"),
        ("http://frontend/api/cart", "http frontend api cart"),
        ("OLJCESPC7Z", "OLJCESPC7Z"),
    ],
)
def test_identifiers_become_words(identifier: str, words: str) -> None:
    """The model knows words; an identifier as one token means nothing to it."""
    assert split_identifiers(identifier) == words


@pytest.mark.parametrize(
    "text",
    [
        "Putting an item into the cart failed. Try again, e.g. later; 1/2 is done.",
        "version 1.24.3",
        "gpt-4o-mini and claude-3-5-sonnet-20241022",
        "PostgreSQL behind OAuth2 on GitHub",
        "Über 3 Millionen Einträge, état inconnu",
    ],
)
def test_prose_versions_and_names_are_not_split(text: str) -> None:
    """Where nothing is an identifier, nothing changes."""
    assert split_identifiers(text) == text


def test_the_model_text_is_masked_split_and_on_one_line() -> None:
    """The three steps happen in this order, so that a mask is found before its surroundings are split."""
    text = "  oteldemo.CartService/AddItem\n\tuser_id=1234567  "
    assert model_text(text) == "oteldemo Cart Service Add Item user id=#"


def test_texts_that_differ_in_noise_only_have_one_id() -> None:
    """The number of vectors grows with the vocabulary, not with the traffic."""
    first = text_id(model_text("order 550e8400-e29b-41d4-a716-446655440000 shipped to user 1234567"))
    second = text_id(model_text("order 123e4567-e89b-12d3-a456-426614174000 shipped to user 7654321"))
    other = text_id(model_text("order lost"))
    assert first == second
    assert first != other


def test_the_store_computes_the_same_id() -> None:
    """An id can be checked in SQL: md5 of the model text, as a UUID."""
    form = "Größe of cart 🛒"
    row = duckdb.connect().execute("SELECT md5(?)::UUID", [form]).fetchone()
    assert row == (text_id(form),)
    assert isinstance(text_id(form), UUID)


@pytest.mark.parametrize(
    "value",
    [
        "<REDACTED>",
        "[redacted]",
        "*****",
        "",
        "550e8400-e29b-41d4-a716-446655440000",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "1234567",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "msg_01XFDUDYJgAACzvnptvVoYEL",
        "aGVsbG8gd29ybGQgdGhpcyBpcyBhIGJhc2U2NCBibG9iIDEyMzQ1Njc4OTA=",
        "data:image/png;base64,iVBORw0KGgo",
    ],
)
def test_values_without_meaning_are_noise(value: str) -> None:
    """Redacted values, ids, hashes and blobs do not go into a text."""
    assert is_noise_value(value)


@pytest.mark.parametrize(
    "value",
    [
        "GET",
        "404",
        "gpt-4o",
        "claude-3-5-sonnet-20241022",
        "/api/products/categories/electronics/computers/laptops",
        "prepareOrderItemsAndShippingQuoteFromCartAndMore",
        "order 1234567 failed",
        "checkout-service",
        "deadbeef",
    ],
)
def test_values_with_a_meaning_are_not_noise(value: str) -> None:
    """A value that says something, even with an id in it, goes into the text."""
    assert not is_noise_value(value)
