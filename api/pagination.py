"""Pages by cursor: page one and page twenty thousand cost the same, and nothing is met twice or missed between them."""

from __future__ import annotations

from rest_framework.pagination import CursorPagination


class NewestFirst(CursorPagination):
    """{"next": url or null, "previous": ..., "results": [...]}"""

    ordering = "-pk"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500
