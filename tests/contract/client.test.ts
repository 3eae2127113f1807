// A client generated from openapi.yaml, used as a player's backend would use it, against a running server.
// DATA_URL and ADMIN_URL are the addresses of its listeners; scripts/test starts one and sets them.

import assert from "node:assert/strict";
import { test } from "node:test";

import createClient from "openapi-fetch";

import type { components, paths } from "./build/api.js";

type Event = components["schemas"]["Event"];
type Decision = components["schemas"]["Decision"];
type Reason = components["schemas"]["Reason"];

const data = createClient<paths>({ baseUrl: address("DATA_URL") });
const admin = createClient<paths>({ baseUrl: address("ADMIN_URL") });
const customer = `ts-${process.pid}`;

function address(name: string): string {
  const url = process.env[name];
  if (url === undefined) throw new Error(`${name} is not set`);
  return url;
}

/** Whether to play the ad, with every reason handled: a reason added to the contract stops this from compiling. */
function plays(decision: Decision): boolean {
  const shows: Record<Reason, boolean> = {
    likely_to_click: true,
    unlikely_to_click: false,
    already_gold: false,
    not_in_audience: false,
    unknown_customer: false,
    too_little_history: false,
    no_model: false,
    capped: false,
    log_unavailable: false,
    no_campaign: false,
    paused: false,
    not_scheduled: false,
    cooling_down: false,
    over_budget: false,
    paced: false,
    held_out: false,
    exploring: true,
  };
  return shows[decision.reason];
}

test("an unknown customer is an answer, not an error", async () => {
  const { data: decision, response } = await data.GET("/should-show-ad/{customer}", {
    params: { path: { customer: `nobody-${process.pid}` }, query: { dry_run: true } },
  });
  assert.ok(decision);
  assert.equal(response.headers.get("cache-control"), "no-store");
  assert.equal(decision.show, false);
  assert.equal(decision.reason, "unknown_customer");
  assert.equal(plays(decision), decision.show);
  assert.equal(decision.score, null);
});

test("events are accepted once and seen by the next decision", async () => {
  const events: Event[] = Array.from({ length: 12 }, (_, index) => ({
    type: "play",
    event_id: index,
    customer_id: customer,
    track_id: 453 + index,
    time: new Date(Date.now() - (index + 1) * 240_000).toISOString(),
    mobile: true,
  }));
  const first = await data.POST("/events", { body: events });
  assert.deepEqual(first.data, { accepted: 12, duplicates: 0, rejected: [] });
  const again = await data.POST("/events", { body: events });
  assert.deepEqual(again.data, { accepted: 0, duplicates: 12, rejected: [] });

  const { data: decision } = await data.GET("/should-show-ad/{customer}", {
    params: { path: { customer }, query: { dry_run: true } },
  });
  assert.ok(decision);
  assert.ok(["likely_to_click", "unlikely_to_click"].includes(decision.reason), decision.reason);
  assert.equal(plays(decision), decision.show);
  assert.equal(typeof decision.score, "number");
});

test("a gold member is never shown the ad", async () => {
  const event: Event = {
    type: "membership",
    event_id: "m-1",
    customer_id: customer,
    level: "gold",
    time: new Date(Date.now() - 1000).toISOString(),
  };
  const { data: report } = await data.POST("/events", { body: event });
  assert.equal(report?.accepted, 1);
  const { data: answer } = await data.POST("/decisions", { body: { customers: [customer, 4_800_000] } });
  assert.deepEqual(
    answer?.decisions.map((decision) => [decision.customer, decision.reason]),
    [
      [customer, "already_gold"],
      ["4800000", "unknown_customer"],
    ],
  );
});

test("a refused event comes back as a typed problem", async () => {
  const leapDay: Event = {
    type: "click",
    event_id: 1,
    customer_id: customer,
    ad: "ADV_REDUCED_1DAY",
    time: "2014-02-29T00:00:00",
  };
  const { data: report, error, response } = await data.POST("/events", { body: leapDay });
  assert.equal(report, undefined);
  assert.equal(response.status, 422);
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  assert.ok(error && "rejected" in error);
  assert.equal(error.type, "/problems/invalid-event");
  assert.match(error.rejected[0]?.detail ?? "", /2014-02-29/);
});

test("an invalid id is answered with a typed problem", async () => {
  const { error } = await data.GET("/should-show-ad/{customer}", {
    params: { path: { customer: "a b" }, header: { "X-Request-Id": "ts-7" } },
  });
  assert.equal(error?.type, "/problems/invalid-customer-id");
  assert.equal(error.status, 400);
});

test("a profile can be read, explained and deleted", async () => {
  const path = { customer };
  const { data: held } = await admin.GET("/customers/{customer}", { params: { path } });
  assert.ok(held);
  assert.equal(held.plays.length, 12);
  assert.equal(held.plays[0]?.event_id, 11, "plays are listed oldest first");
  assert.equal(held.membership?.level, "gold");
  assert.equal(held.features.mobile, 1);

  const { data: explanation } = await admin.GET("/customers/{customer}/explain", { params: { path } });
  assert.equal(explanation?.decision.reason, "already_gold");
  assert.equal(explanation.steps.at(-1)?.passed, false);

  const { response } = await admin.DELETE("/customers/{customer}", { params: { path } });
  assert.equal(response.status, 204);
  const { error } = await admin.GET("/customers/{customer}", { params: { path } });
  assert.equal(error?.type, "/problems/customer-not-found");
});

test("the server reports its model, campaign and readiness", async () => {
  const { data: models } = await admin.GET("/models");
  assert.equal(models?.[0]?.role, "champion");
  const { data: campaigns } = await admin.GET("/campaigns", { parseAs: "text" });
  assert.match(campaigns ?? "", /id = "gold-one-day"/);
  const { data: versions } = await admin.GET("/campaigns/history");
  assert.ok((versions?.at(-1)?.version ?? 0) >= 1);
  const { data: ready } = await data.GET("/readyz");
  assert.equal(ready?.status, "ready");
});
