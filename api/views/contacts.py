"""People, lists, consents, the stop-list."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.timezone import now
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import Conflict
from api.models import Scope
from api.serializers.contacts import (
    BranchSerializer,
    ConsentSerializer,
    ContactListSerializer,
    ContactSerializer,
    MembersAddedSerializer,
    MembersSerializer,
    SuppressionSerializer,
    TagSerializer,
)
from api.views.base import ApiViewSet, once
from cascade.vocabulary import Purpose
from contacts.models import Branch, Consent, Contact, ContactList, ListMember, Suppression, SuppressionScope, Tag
from contacts.selectors import found_by
from contacts.services import cards, consents, lists, suppressions

_SCOPES = {"read": Scope.CONTACTS_READ, "write": Scope.CONTACTS_WRITE}
_TEXT = OpenApiTypes.STR


class Contacts(mixins.ListModelMixin, mixins.RetrieveModelMixin, ApiViewSet):
    """People. POST finds the person by phone (without one: by e-mail) and changes the card, or makes it."""

    scopes = _SCOPES
    serializer_class = ContactSerializer
    queryset = Contact.objects.prefetch_related("tags")

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "search", _TEXT, description="A phone in any spelling, an e-mail's beginning, part of a name."
            ),
            OpenApiParameter("tag", _TEXT, description="Name of a tag."),
            OpenApiParameter("list", OpenApiTypes.INT, description="Id of a list."),
        ]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """People, newest cards first."""
        return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.request.query_params
        if search := asked.get("search", "").strip():
            queryset = queryset.filter(found_by(search))
        if tag := asked.get("tag", "").replace("\x00", ""):
            queryset = queryset.filter(tags__name=tag)
        if roll := asked.get("list", ""):
            if not (roll.isascii() and roll.isdigit() and len(roll) < 19):
                raise ValidationError({"list": [_("The id of a list is a number.")]})
            queryset = queryset.filter(memberships__list_id=int(roll))
        return queryset

    @extend_schema(responses={200: ContactSerializer, 201: ContactSerializer})
    def create(self, request: Request) -> Response:
        """Make a card, or change the one of this person: 201 or 200. Safe to repeat."""
        found = self.get_serializer(data=request.data)
        found.is_valid(raise_exception=True)
        values = dict(found.validated_data)
        try:
            card, new = cards.upsert(values, values.pop("tags", None))
        except cards.TakenError as error:
            raise _taken(error) from None
        code = status.HTTP_201_CREATED if new else status.HTTP_200_OK
        return Response(self.get_serializer(card).data, status=code)

    def partial_update(self, request: Request, pk: str) -> Response:
        """Change fields of a card; those not sent stay. `attributes` are merged, `tags` added."""
        card = self.get_object()
        found = self.get_serializer(card, data=request.data, partial=True)
        found.is_valid(raise_exception=True)
        values = dict(found.validated_data)
        try:
            card = cards.change(card.pk, values, values.pop("tags", None))
        except cards.TakenError as error:
            raise _taken(error) from None
        return Response(self.get_serializer(card).data)

    @extend_schema(methods=["GET"], responses=ConsentSerializer(many=True))
    @extend_schema(methods=["POST"], request=ConsentSerializer, responses={201: ConsentSerializer})
    @action(detail=True, methods=["get", "post"], pagination_class=None, serializer_class=ConsentSerializer)
    def consents(self, request: Request, pk: str) -> Response:
        """The person's consent ledger, newest first; POST adds a line. A line is the proof: it is never changed."""
        card = self.get_object()
        if request.method == "GET":
            return Response(ConsentSerializer(Consent.objects.filter(contact=card), many=True).data)
        said = ConsentSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        if (at := said.validated_data.get("at")) is not None and at > now():
            raise ValidationError({"at": [_("A consent cannot be given in the future.")]})
        line = consents.record(card.pk, **{**said.validated_data, "purpose": Purpose(said.validated_data["purpose"])})
        return Response(ConsentSerializer(line).data, status=status.HTTP_201_CREATED)


class Lists(mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.CreateModelMixin, ApiViewSet):
    """Lists of people, each with values of its own for the texts."""

    scopes = _SCOPES
    serializer_class = ContactListSerializer
    queryset = ContactList.objects.all()

    @extend_schema(request=MembersSerializer, responses=MembersAddedSerializer)
    @action(detail=True, methods=["post"], serializer_class=MembersSerializer)
    def members(self, request: Request, pk: str) -> Response:
        """Put up to 1,000 people on the list; who has no card gets one. All of them or, with an error, none."""
        return once(request, self.key, lambda: self._put(request))

    def _put(self, request: Request) -> Response:
        roll = self.get_object()
        sent = MembersSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        known = set(
            Contact.objects.filter(
                pk__in=[one["contact"] for one in sent.validated_data["members"] if "contact" in one]
            ).values_list("pk", flat=True)
        )
        people: dict[int, dict[str, Any]] = {}
        made = 0
        for index, one in enumerate(sent.validated_data["members"]):
            if (contact_id := one.get("contact")) is not None:
                if contact_id not in known:
                    raise ValidationError({f"members.{index}.contact": [_("There is no such contact.")]})
            else:
                values = {name: one[name] for name in ("phone", "email", "name") if one.get(name)}
                card, new = cards.upsert(values)
                contact_id, made = card.pk, made + new
            people[contact_id] = one.get("variables", {})
        added = lists.put(roll, people)
        return Response({"added": added, "updated": len(people) - added, "created_contacts": made})

    @extend_schema(responses={204: None})
    @action(detail=True, methods=["delete"], url_path="members/(?P<contact>[0-9]{1,18})")
    def member(self, request: Request, pk: str, contact: str) -> Response:
        """Take a person off the list; 204 also when they were not on it."""
        ListMember.objects.filter(list=self.get_object(), contact_id=int(contact)).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class Tags(mixins.ListModelMixin, ApiViewSet):
    """Tags in use; a new one is made by naming it on a contact."""

    scopes = _SCOPES
    serializer_class = TagSerializer
    queryset = Tag.objects.all()


class Branches(mixins.ListModelMixin, mixins.CreateModelMixin, ApiViewSet):
    """Salons and shops: they give their clients a time zone."""

    scopes = _SCOPES
    serializer_class = BranchSerializer
    queryset = Branch.objects.all()


class Suppressions(mixins.ListModelMixin, mixins.RetrieveModelMixin, ApiViewSet):
    """The stop-list. A stop is effective when the answer is there: nothing new begins to this address."""

    scopes = _SCOPES
    serializer_class = SuppressionSerializer
    queryset = Suppression.objects.all()

    @extend_schema(responses={201: SuppressionSerializer})
    def create(self, request: Request) -> Response:
        """Put an address on the stop-list. One that is on it keeps its stricter scope."""
        sent = self.get_serializer(data=request.data)
        sent.is_valid(raise_exception=True)
        values = sent.validated_data
        try:
            done = suppressions.suppress(
                values["address"],
                SuppressionScope(values["scope"]),
                values.get("reason", ""),
                f"api: {self.key.name}",
            )
        except suppressions.NotAnAddressError:
            raise ValidationError({"address": [_("This is neither a phone nor an e-mail.")]}) from None
        return Response(self.get_serializer(done.entry).data, status=status.HTTP_201_CREATED)


def _taken(error: cards.TakenError) -> Conflict:
    return Conflict("contact_taken", _("Another contact has this phone or e-mail."), contact=error.contact_id)
