"""A campaign that shows the ad in a share of all decisions, to the customers with the highest scores, again and again."""

import json

from suite import servers

# Customers whose scores choose the threshold.
SAMPLED_CUSTOMERS = 4_000

# Everybody may be shown it, and the cap is as wide as it can be.
CAMPAIGN = """
[campaign]
audience = ["free", "silver", "gold"]
min_plays = 1
threshold = {threshold}
[campaign.cap]
impressions = 64
hours = 1
"""


def campaign(stage, history, share):
    """Its configuration, by dry runs on a server of its own, which is ended."""
    return campaigns(stage, history, [share])[0]


def campaigns(stage, history, shares):
    """The same for several shares."""
    server = stage.start_upbeat("scores", config=CAMPAIGN.format(threshold=0.0), in_memory=True)
    history.load(server)
    scores = []
    asked = history.ids[:SAMPLED_CUSTOMERS]
    with servers.connect(server.port) as connection:
        for customer in asked:
            request = f"GET /should-show-ad/{customer}?dry_run=true HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            connection.sendall(request.encode())
            score = json.loads(servers.read_reply(connection).partition(b"\r\n\r\n")[2]).get("score")
            scores.append(float("-inf") if score is None else score)
    stage.processes.stop(server.process)
    scores.sort(reverse=True)
    return [CAMPAIGN.format(threshold=scores[int(share * len(asked))]) for share in shares]
