"""``/v1/pronunciation-dictionaries``: stored lexicons, in the shape of ElevenLabs' API."""

from __future__ import annotations

from typing import Literal, TypedDict

from flask import Blueprint, request

from voxcpm_openai.text.lexicon import LexiconRule
from voxcpm_openai.voices import validation
from voxcpm_openai.voices.store.data_folder import Dictionary
from voxcpm_openai.web.access_log import log_context
from voxcpm_openai.web.app_context import current_context
from voxcpm_openai.web.auth import current_principal
from voxcpm_openai.web.openapi.operation import json_body, operation
from voxcpm_openai.web.pages import page_of
from voxcpm_openai.web.queries import CursorSchema
from voxcpm_openai.web.schemas import DictionarySchema, load, load_json

blueprint = Blueprint("dictionaries", __name__)

URL = "/v1/pronunciation-dictionaries"
MAX_BYTES = 8 * 1024 * 1024
"""The largest body: a thousand rules of the longest texts, each character as two escapes."""


class RuleObject(TypedDict):
    """What a rule replaces."""

    string_to_replace: str
    case_sensitive: bool
    word_boundaries: bool


class AliasRule(RuleObject):
    """A rule that puts other words in the place of a text."""

    type: Literal["alias"]
    alias: str | None


class PhonemeRule(RuleObject):
    """A rule that says how a text is pronounced."""

    type: Literal["phoneme"]
    phoneme: str
    alphabet: Literal["ipa"]


class DictionaryCommon(TypedDict):
    """A pronunciation dictionary."""

    id: str
    name: str
    description: str | None
    created_by: str
    creation_time_unix: int
    permission_on_resource: Literal["admin"]


class AddedDictionary(DictionaryCommon):
    """A pronunciation dictionary that was stored."""

    version_id: str
    version_rules_num: int


class DictionaryObject(DictionaryCommon):
    """A pronunciation dictionary, which has one version."""

    latest_version_id: str
    latest_version_rules_num: int
    archived_time_unix: None


class DictionaryWithRules(DictionaryObject):
    """A pronunciation dictionary with its rules."""

    rules: list[PhonemeRule | AliasRule]


class DictionaryList(TypedDict):
    """A page of the pronunciation dictionaries."""

    pronunciation_dictionaries: list[DictionaryObject]
    next_cursor: str | None
    has_more: bool


class DeletedDictionary(TypedDict):
    """A pronunciation dictionary that was deleted."""

    id: str
    object: Literal["pronunciation_dictionary"]
    deleted: bool


@blueprint.post(f"{URL}/add-from-rules")
@operation(json_body(DictionarySchema))
def add_dictionary() -> AddedDictionary:
    """Store a pronunciation dictionary, which applies to all requests with the same API key."""
    ctx = current_context()
    request.max_content_length = MAX_BYTES
    body = load_json(DictionarySchema(), request, strict=ctx.settings.strict)
    dictionary = ctx.dictionaries.add(
        validation.name(body["name"]),
        body["rules"],
        description=validation.description(body.get("description", "")),
        principal=current_principal(),
    )
    log_context(dictionary=dictionary.id)
    return {
        **_common(dictionary),
        "version_id": _version(dictionary),
        "version_rules_num": dictionary.rules,
    }


@blueprint.get(URL)
@operation(query=CursorSchema)
def list_dictionaries() -> DictionaryList:
    """List the pronunciation dictionaries, oldest first: ``page_size`` (30) after ``cursor``."""
    ctx = current_context()
    page = load(CursorSchema(), request.args, strict=ctx.settings.strict)
    dictionaries = ctx.dictionaries.all(current_principal())
    shown, has_more = page_of(
        dictionaries, page["page_size"], page.get("cursor"), param="cursor", kind="dictionary"
    )
    return {
        "pronunciation_dictionaries": [_metadata(dictionary) for dictionary in shown],
        "next_cursor": shown[-1].id if has_more else None,
        "has_more": has_more,
    }


@blueprint.get(f"{URL}/<id_>")
def get_dictionary(id_: str) -> DictionaryWithRules:
    """Return one pronunciation dictionary, with its rules.

    Raises UnknownDictionary.
    """
    store, principal = current_context().dictionaries, current_principal()
    rules = [_rule(rule) for rule in store.rules(id_, principal)]
    return {**_metadata(store.get(id_, principal)), "rules": rules}


@blueprint.delete(f"{URL}/<id_>")
def delete_dictionary(id_: str) -> DeletedDictionary:
    """Delete a pronunciation dictionary.

    Raises UnknownDictionary.
    """
    current_context().dictionaries.remove(id_, current_principal())
    return {"id": id_, "object": "pronunciation_dictionary", "deleted": True}


def _common(dictionary: Dictionary) -> DictionaryCommon:
    return {
        "id": dictionary.id,
        "name": dictionary.name,
        "description": dictionary.description or None,
        "created_by": dictionary.owner or "operator",
        "creation_time_unix": dictionary.created_at,
        "permission_on_resource": "admin",
    }


def _metadata(dictionary: Dictionary) -> DictionaryObject:
    return {
        **_common(dictionary),
        "latest_version_id": _version(dictionary),
        "latest_version_rules_num": dictionary.rules,
        "archived_time_unix": None,
    }


def _version(dictionary: Dictionary) -> str:
    """Return the id of a dictionary's only version."""
    return f"version_{dictionary.id.removeprefix('dict_')}"


def _rule(rule: LexiconRule) -> PhonemeRule | AliasRule:
    common: RuleObject = {
        "string_to_replace": rule.text,
        "case_sensitive": rule.case_sensitive,
        "word_boundaries": rule.word_boundaries,
    }
    if rule.ipa is not None:
        return {**common, "type": "phoneme", "phoneme": rule.ipa, "alphabet": "ipa"}
    return {**common, "type": "alias", "alias": rule.alias}
