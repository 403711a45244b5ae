"""The main job through the API alone: a list, a text, a campaign, its report. Standard library only.

    CASCADE_URL=https://your.host CASCADE_KEY=csc_... CASCADE_CHAIN=1 python reminder.py

Prints the report as JSON. Every request that could send something twice carries an Idempotency-Key.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from typing import Any

URL, KEY, CHAIN = (os.environ[f"CASCADE_{name}"] for name in ("URL", "KEY", "CHAIN"))
CLIENTS = [
    {"phone": "8 912 345-67-00", "name": "Ольга", "variables": {"time": "12:30"}},
    {"phone": "+7 (912) 345-68-00", "name": "Иван", "variables": {"time": "15:00"}},
]


def ask(method: str, path: str, body: Any = None, once: str = "") -> Any:
    """One request. Raises urllib.error.HTTPError, whose body says in words what is wrong."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    if once:
        headers["Idempotency-Key"] = once
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}/api/v1/{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def main() -> None:
    """Upload, look, launch, wait, print."""
    day = time.strftime("%Y-%m-%d")
    people = ask("POST", "lists/", {"name": f"Визиты {day}"})
    ask("POST", f"lists/{people['id']}/members/", {"members": CLIENTS}, once=f"visits-{day}")
    text = ask("POST", "templates/", {"name": f"Напоминание {day}", "text": "{name}, ждём вас завтра в {time}."})
    campaign = ask(
        "POST",
        "campaigns/",
        {
            "name": f"Напоминания {day}",
            "purpose": "service",
            "chain": int(CHAIN),
            "template": text["id"],
            "lists": [people["id"]],
        },
        once=f"campaign-{day}",
    )
    seen = ask("GET", f"campaigns/{campaign['id']}/preflight/")
    if seen["blockers"]:
        raise SystemExit("\n".join(one["message"] for one in seen["blockers"]))
    ask("POST", f"campaigns/{campaign['id']}/launch/")
    while ask("GET", f"campaigns/{campaign['id']}/")["status"] != "finished":
        time.sleep(1)
    print(json.dumps(ask("GET", f"campaigns/{campaign['id']}/report/"), ensure_ascii=False))


if __name__ == "__main__":
    main()
