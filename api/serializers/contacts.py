"""People, lists, consents, the stop-list."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers

from api.serializers.fields import EmailField, PhoneField, VariablesField
from contacts.models import Branch, Consent, Contact, ContactList, PurposeChoices, Suppression, SuppressionScope, Tag

_SCOPES = {"marketing": SuppressionScope.MARKETING, "all": SuppressionScope.ALL}
_SCOPE_NAMES = {SuppressionScope.NONE: "", **{scope: name for name, scope in _SCOPES.items()}}


class TagsField(serializers.ListField):
    """Tags by name."""

    child = serializers.CharField(max_length=100)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=50, **kwargs)

    def to_representation(self, tags: Any) -> list[str]:
        return sorted(tag.name for tag in tags.all())


class ContactSerializer(serializers.ModelSerializer[Contact]):
    """One person. Found by phone; without one by e-mail. Consent and stop are read-only here: they have their ledgers."""

    phone = PhoneField(required=False, allow_null=True)
    email = EmailField(required=False, allow_null=True)
    branch = serializers.PrimaryKeyRelatedField(queryset=Branch.objects.all(), required=False, allow_null=True)
    tags = TagsField(required=False, help_text="Names; added, not replaced.")
    attributes = VariablesField(required=False, help_text="Merged key by key.")
    suppressed = serializers.SerializerMethodField()

    class Meta:
        model = Contact
        fields = (
            "id",
            "phone",
            "email",
            "name",
            "full_name",
            "birthday",
            "branch",
            "timezone",
            "tags",
            "attributes",
            "marketing_consent",
            "suppressed",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("id", "marketing_consent", "created_at", "updated_at")
        # Which card a phone or e-mail belongs to is the service's question, under its lock.
        validators: tuple[Any, ...] = ()

    def get_suppressed(self, card: Contact) -> str:
        """`marketing`, `all` or nothing."""
        return _SCOPE_NAMES[SuppressionScope(card.suppressed)]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if self.instance is None and not attrs.get("phone") and not attrs.get("email"):
            raise serializers.ValidationError(_("Give a phone or an e-mail: a person is found by one of them."))
        return attrs


class MemberSerializer(serializers.Serializer[Any]):
    """A person of a list: who, and this list's own values."""

    contact = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    phone = PhoneField(required=False)
    email = EmailField(required=False)
    name = serializers.CharField(required=False, max_length=200)
    variables = VariablesField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not any(attrs.get(one) for one in ("contact", "phone", "email")):
            raise serializers.ValidationError(_("Give a contact id, a phone or an e-mail."))
        return attrs


class MembersSerializer(serializers.Serializer[Any]):
    """Up to 1,000 people a request."""

    members = MemberSerializer(many=True, allow_empty=False, max_length=1000)  # type: ignore[call-arg]


class MembersAddedSerializer(serializers.Serializer[Any]):
    added = serializers.IntegerField(help_text="New on the list.")
    updated = serializers.IntegerField(help_text="Were on it; their values are new.")
    created_contacts = serializers.IntegerField(help_text="Had no card until now.")


class ContactListSerializer(serializers.ModelSerializer[ContactList]):
    class Meta:
        model = ContactList
        fields = ("id", "name", "created_at")
        read_only_fields = ("id", "created_at")


class TagSerializer(serializers.ModelSerializer[Tag]):
    class Meta:
        model = Tag
        fields = ("id", "name")


class BranchSerializer(serializers.ModelSerializer[Branch]):
    class Meta:
        model = Branch
        fields = ("id", "name", "timezone")


class ConsentSerializer(serializers.ModelSerializer[Consent]):
    """One line of the ledger. Lines are added and never changed."""

    at = serializers.DateTimeField(required=False, help_text="When the person said it; now if not given.")
    source = serializers.CharField(  # type: ignore[assignment]
        max_length=200, help_text="Where: form, conversation, page."
    )
    purpose = serializers.ChoiceField(choices=PurposeChoices.choices, default=PurposeChoices.MARKETING.value)

    class Meta:
        model = Consent
        fields = ("id", "purpose", "granted", "at", "source", "wording", "evidence")
        read_only_fields = ("id",)
        extra_kwargs = {"wording": {"max_length": 5000}, "evidence": {"max_length": 5000}}


class SuppressionSerializer(serializers.ModelSerializer[Suppression]):
    """An address nobody may write to. The address itself is not kept: only its hash and a masked hint."""

    address = serializers.CharField(write_only=True, max_length=254, help_text="A phone in any spelling or an e-mail.")
    scope = serializers.ChoiceField(choices=sorted(_SCOPES), help_text="`marketing`, or `all` messages.")

    class Meta:
        model = Suppression
        fields = ("id", "address", "hint", "scope", "reason", "source", "created_at")
        read_only_fields = ("id", "hint", "source", "created_at")

    def to_representation(self, row: Suppression) -> dict[str, Any]:
        shown = {name: getattr(row, name) for name in ("id", "hint", "reason", "source")}
        return {**shown, "scope": _SCOPE_NAMES[SuppressionScope(row.scope)], "created_at": row.created_at}

    def validate_scope(self, value: str) -> SuppressionScope:
        return _SCOPES[value]
