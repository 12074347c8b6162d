"use strict";
// Fills the status page from /?format=json and keeps it fresh. What a client sent becomes text nodes and attribute-free options,
// never markup; the page's Content-Security-Policy (require-trusted-types-for) would refuse anything else.

const EVERY_MS = 2000;
const BAR_SECONDS = 4;
const VERDICTS = ["forwarded", "would_reject", "rejected", "abandoned"];
const FILTERS = ["reason", "bot", "tenant", "client_ip"];
const MOTIONLESS = matchMedia("(prefers-reduced-motion: reduce)");

const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });

/** An element with classes, attributes and children; strings become text. */
function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  if (options.class) element.className = options.class;
  for (const [name, value] of Object.entries(options)) if (name !== "class") element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function draw(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function say(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
}

/** Runs `build` when what it shows has changed since the last time. */
const shown = new Map();
function whenChanged(name, data, build) {
  const now = JSON.stringify(data);
  if (shown.get(name) === now) return;
  shown.set(name, now);
  build();
}

const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);
const rate = (number) => (number >= 10 || number === 0 ? whole.format(Math.round(number)) : number.toFixed(1));
const percent = (part, all) => (all === 0 ? "0 %" : `${((100 * part) / all).toFixed(part === 0 || part === all ? 0 : 1)} %`);

function lasting(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 s";
  const [unit, size] = units[first];
  const next = units[first + 1];
  const rest = next ? Math.floor((seconds % size) / next[1]) : 0;
  return `${Math.floor(seconds / size)} ${unit}` + (rest > 0 && next[0] !== "s" ? ` ${rest} ${next[0]}` : "");
}

function time(seconds) {
  const at = new Date(seconds * 1000);
  return make("time", { datetime: at.toISOString(), title: at.toISOString() }, clock.format(at));
}

function showHealth(data) {
  say("version", data.version);
  const draining = data.missing.includes("draining");
  const ready = data.store && !data.store.up ? ["warn", "Ready, shared store away"] : ["good", "Ready"];
  const [state, text] = data.ready ? ready : draining ? ["warn", "Draining"] : ["bad", `Not ready: ${data.missing.join(", ")}`];
  $("health").className = `pill ${state}`;
  say("health", text);
  document.title = data.ready ? "botgate status" : `${text} – botgate status`;
}

function showTraffic(data) {
  const traffic = data.traffic;
  const seconds = traffic.rejected.map((_, at) => sum(VERDICTS.map((verdict) => traffic[verdict][at])));
  const all = sum(seconds);
  const refused = sum(traffic.rejected);
  const latest = seconds.slice(-10);
  say("rate", rate(latest.length === 0 ? 0 : sum(latest) / latest.length));
  say("rate-note", `mean of ${latest.length} s, at most ${rate(Math.max(0, ...seconds))} in 5 min`);
  say("share", percent(refused, all));
  say("share-note", `${whole.format(refused)} of ${whole.format(all)} requests`);
  say("in-flight", whole.format(data.in_flight));
  say("connections", `${whole.format(data.connections)} open connection${data.connections === 1 ? "" : "s"}`);
  if (data.started) {
    say("uptime", lasting(Math.max(0, data.now - data.started)));
    say("since", `since ${day.format(data.started * 1000)}, ${clock.format(data.started * 1000)}`);
  }
  say("chart-text", `In the last ${lasting(seconds.length)}: ${whole.format(all)} requests, at most ${rate(Math.max(0, ...seconds))} in a second; `
    + `${whole.format(sum(traffic.forwarded))} forwarded, ${whole.format(sum(traffic.would_reject))} would be refused, `
    + `${whole.format(refused)} refused, ${whole.format(sum(traffic.abandoned))} left by their clients.`);
  drawChart(traffic);
  drawReasons(traffic.reasons);
}

/** Bars of BAR_SECONDS each, the latest at the right edge, stacked by verdict. */
function drawChart(traffic) {
  const bars = traffic.seconds / BAR_SECONDS;
  const known = traffic.rejected.length;
  const mean = (verdict, bar) => {
    const end = known - bar * BAR_SECONDS;
    const part = traffic[verdict].slice(Math.max(0, end - BAR_SECONDS), Math.max(0, end));
    return sum(part) / BAR_SECONDS;
  };
  const heights = Array.from({ length: bars }, (_, bar) => VERDICTS.map((verdict) => mean(verdict, bar)));
  const top = niceCeiling(Math.max(1, ...heights.map(sum)));
  say("tick-top", `${top}/s`);
  say("tick-mid", `${top / 2}/s`);
  const width = 300 / bars;
  const shapes = [0, 50, 100].map((y) => draw("line", { class: "grid", x1: 0, x2: 300, y1: y, y2: y }));
  heights.forEach((parts, bar) => {
    let from = 100;
    parts.forEach((part, at) => {
      if (part === 0) return;
      const height = (100 * part) / top;
      from -= height;
      shapes.push(draw("rect", { class: VERDICTS[at], x: 300 - (bar + 1) * width + 0.35, y: from, width: width - 0.7, height }));
    });
  });
  $("chart").replaceChildren(...shapes);
}

function niceCeiling(number) {
  const power = 10 ** Math.floor(Math.log10(number));
  return power * [1, 2, 5, 10].find((step) => number <= step * power);
}

function drawReasons(reasons) {
  $("reasons-none").hidden = reasons.length > 0;
  whenChanged("reasons", reasons, () => {
    const most = Math.max(1, ...reasons.map((one) => one.count));
    const focused = document.activeElement?.dataset?.reason;
    $("reasons").replaceChildren(...reasons.map(({ reason, count, meaning }) => {
      const bar = draw("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" });
      bar.append(draw("rect", { class: "rejected", width: (100 * count) / most, height: 6 }));
      const button = make("button", { type: "button", title: `${meaning} Click to list these.`, "data-reason": reason },
        make("span", { class: "name mono" }, reason), make("span", { class: "count" }, whole.format(count)));
      button.append(bar);
      button.addEventListener("click", () => {
        const select = $("f-reason");
        if (![...select.options].some((option) => option.value === reason)) select.append(new Option(reason, reason));
        select.value = reason;
        showRefused();
        $("refused").scrollIntoView({ behavior: MOTIONLESS.matches ? "auto" : "smooth" });
        select.focus({ preventScroll: true });
      });
      return make("li", {}, button);
    }));
    if (focused) [...$("reasons").querySelectorAll("button")].find((one) => one.dataset.reason === focused)?.focus();
  });
}

let refused = [];
let rows = new Map();

function takeRefused(list) {
  refused = list;
  for (const name of FILTERS) fillChoices(name);
  showRefused();
}

function fillChoices(name) {
  const counts = new Map();
  for (const one of refused) counts.set(one[name] ?? "", (counts.get(one[name] ?? "") ?? 0) + 1);
  const select = $(`f-${name}`);
  const chosen = select.value;
  // A choice stays although the last request with it has left the list.
  if (chosen !== "" && !counts.has(key(chosen))) counts.set(key(chosen), 0);
  const choices = [...counts].sort(([a], [b]) => a.localeCompare(b));
  whenChanged(`choices-${name}`, choices, () => {
    const options = choices.map(([value, count]) => new Option(`${value === "" ? "none" : value} (${count})`, value === "" ? NONE : value));
    select.replaceChildren(new Option("all", ""), ...options);
    select.value = chosen;
  });
}

// No value that a request can have: a client's words hold no NUL, and an empty one is what "all" is.
const NONE = "\u0000";
const key = (chosen) => (chosen === NONE ? "" : chosen);

function isWanted(one) {
  const text = $("f-text").value.trim().toLowerCase();
  return FILTERS.every((name) => $(`f-${name}`).value === "" || (one[name] ?? "") === key($(`f-${name}`).value))
    && (text === "" || Object.values(one).some((value) => String(value ?? "").toLowerCase().includes(text)));
}

function showRefused() {
  const wanted = refused.filter(isWanted);
  const first = rows.size === 0;
  const next = new Map();
  const seen = new Map();
  for (const one of wanted) {
    // Clients choose their request ids, so two may be equal.
    const base = JSON.stringify([one.request_id, one.at, one.reason]);
    const number = (seen.get(base) ?? 0) + 1;
    seen.set(base, number);
    const name = `${base}${number}`;
    next.set(name, rows.get(name) ?? row(one, !first));
  }
  for (const [name, element] of rows) if (!next.has(name)) element.remove();
  let place = $("rows").firstElementChild;
  for (const element of next.values()) {
    if (element === place) place = place.nextElementSibling;
    else $("rows").insertBefore(element, place);
  }
  rows = next;
  const isFiltered = wanted.length !== refused.length;
  say("shown", refused.length === 0 ? "" : isFiltered ? `${wanted.length} of ${refused.length} shown` : `${refused.length} shown`);
  $("list").hidden = wanted.length === 0;
  $("rows-none").hidden = wanted.length > 0;
  say("rows-none", refused.length === 0 ? "Nothing has been refused since the start." : "None of the last refused requests matches these filters.");
}

function row(one, isNew) {
  const reason = [make("code", {}, one.reason), one.verdict === "would_reject"
    ? make("span", { class: "badge report", title: "A policy in report mode: forwarded all the same" }, "report only")
    : make("span", { class: "status-code" }, String(one.status ?? ""))];
  const about = [[one.method, one.path].filter(Boolean).join(" "), one.channel, one.activity_type, one.invoke_name, one.token_kind && `${one.token_kind} token`,
    one.caller_app_id && `caller ${one.caller_app_id}`, one.service_url_host, `id ${one.request_id}`].filter(Boolean).join(" · ");
  const cells = [
    ["Time", time(one.at)],
    ["Reason", make("span", {}, ...reason)],
    ["Bot", one.bot || null],
    ["Client", one.client_ip],
    ["Tenant", one.tenant ? make("span", { class: "mono" }, one.tenant) : null],
    ["What", make("span", {}, one.note, make("span", { class: "meta" }, about))],
  ];
  const tr = make("tr", { role: "row" }, ...cells.map(([label, content]) =>
    make("td", { role: "cell", "data-label": label, class: content === null ? "none" : "" }, content ?? "–")));
  if (isNew) tr.className = "new";
  return tr;
}

const fact = (name, ...content) => [make("dt", {}, name), make("dd", {}, ...content)];

const state = (kind, text) => make("span", { class: `state ${kind}` }, text);

function showBots(bots) {
  const still = bots.map(({ requests, ...rest }) => rest);
  whenChanged("bots", still, () => $("bots").replaceChildren(...bots.map(card)));
  bots.forEach((bot, at) => {
    const { forwarded, would_reject, rejected, abandoned, in_flight } = bot.requests;
    say(`bot-${at}`, `${whole.format(forwarded)} forwarded, ${whole.format(rejected)} refused`
      + (would_reject > 0 ? `, ${whole.format(would_reject)} would be refused` : "")
      + (abandoned > 0 ? `, ${whole.format(abandoned)} left by clients` : "") + `; ${whole.format(in_flight)} in flight`);
  });
}

function card(bot, at) {
  const title = `bot-title-${at}`;
  const backends = bot.backends.map((one) => make("div", {}, state(one.up ? "good" : "bad", one.up ? "up" : "left out"), ` ${one.name}`));
  const policies = bot.policies.map((one) => make("tr", {}, make("td", {}, one.policy),
    make("td", {}, make("span", { class: `badge ${one.mode}` }, one.mode === "report" ? "report only" : "enforced")),
    make("td", {}, one.says, one.allow.length > 0 ? make("span", { class: "names mono" }, one.allow.join(", ")) : null,
      one.deny.length > 0 ? make("span", { class: "names mono" }, `never ${one.deny.join(", ")}`) : null)));
  return make("article", { class: "card bot", "aria-labelledby": title },
    make("header", {}, make("h3", { id: title }, bot.name), bot.unhealthy ? state("bad", "every backend fails its health check") : null),
    make("dl", { class: "facts" },
      ...fact("Requests", make("span", { id: `bot-${at}` })),
      ...fact("Served at", make("code", {}, `${bot.hosts.length > 0 ? bot.hosts.join(", ") : "any host"} ${bot.path}`)),
      ...fact("Backends", ...backends),
      ...fact("Tokens", `${bot.kinds.join(", ")}, cloud ${bot.cloud}`),
      ...fact("App id", make("code", {}, bot.app_id))),
    make("table", { "aria-label": `Policies of ${bot.name}` },
      make("thead", {}, make("tr", {}, ...["Policy", "Mode", "Lets in"].map((head) => make("th", { scope: "col" }, head)))),
      make("tbody", {}, ...policies)));
}

function showBrokers(brokers) {
  $("brokers-section").hidden = brokers.length === 0;
  whenChanged("brokers", brokers, () => $("brokers").replaceChildren(...brokers.map((broker, at) => make("article", { class: "card bot", "aria-labelledby": `broker-title-${at}` },
    make("header", {}, make("h3", { id: `broker-title-${at}` }, broker.name)),
    make("dl", { class: "facts" },
      ...fact("Gives tokens at", make("code", {}, `${broker.hosts.length > 0 ? broker.hosts.join(", ") : "any host"} ${broker.path}`)),
      ...fact("To pages of", ...broker.trusted_origins.map((origin) => make("div", {}, make("code", {}, origin)))),
      ...fact("From", make("code", {}, broker.endpoint), ` by ${broker.secrets === 1 ? "one secret" : `${broker.secrets} secrets`}`),
      ...fact("Users", broker.users),
      ...fact("Limits", broker.limits),
      ...fact("Sessions", broker.max_session_seconds === null ? "as long as pages want" : `end after ${lasting(broker.max_session_seconds)}`))))));
}

function showTrust(data) {
  const keys = data.keys.map((one) => [one, one.age_seconds === null ? "–" : lasting(one.age_seconds)]);
  whenChanged("keys", keys.map(([one, age]) => [one.name, one.keys, one.usable, one.last_fetch_failed, age]), () => $("keys").replaceChildren(...keys.map(([one, age]) =>
    make("tr", {}, make("td", {}, one.name, make("span", { class: "names" }, one.issuer)), make("td", {}, String(one.keys)), make("td", {}, age),
      make("td", {}, !one.usable ? state("bad", "no usable keys") : one.last_fetch_failed ? state("warn", "last fetch failed") : state("good", "good"))))));
  $("certificates").closest("table").hidden = data.certificates.length === 0;
  $("certificates-none").hidden = data.certificates.length > 0;
  const certificates = data.certificates.map((one) => [one.name, one.expires, Math.floor((one.expires - data.now) / 86400)]);
  whenChanged("certificates", certificates, () => $("certificates").replaceChildren(...certificates.map(([name, expires, days]) =>
    make("tr", {}, make("td", {}, name), make("td", {}, day.format(expires * 1000)),
      make("td", {}, state(days < 0 ? "bad" : days < 14 ? "warn" : "good", days < 0 ? "has ended" : `${days} days left`))))));
  const { in_force_since, reloads } = data.configuration;
  const outcomes = Object.entries(reloads).filter(([, count]) => count > 0).map(([outcome, count]) => `${count} ${outcome.replace("_", " ")}`);
  const facts = [
    ["In force since", in_force_since ? `${day.format(in_force_since * 1000)}, ${clock.format(in_force_since * 1000)}` : "–"],
    ["Reloads", outcomes.length > 0 ? outcomes.sort().join(", ") : "none since the start"],
    ["Log lines left out", `${whole.format(data.log.suppressed)} in floods, ${whole.format(data.log.lines_lost)} lost`],
  ];
  if (data.store) {
    const without = data.store.counting === "deny" ? "requests are refused" : "this gateway counts by itself";
    facts.push(["Shared store", data.store.up ? "counts for all gateways" : `away, ${without}: ${data.store.why ?? "not reached yet"}`]);
  }
  whenChanged("configuration", facts, () => $("configuration").replaceChildren(...facts.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)])));
}

let lastGood = null;
let isPaused = false;
let timer;

async function refresh() {
  clearTimeout(timer);
  try {
    const answer = await fetch("/?format=json", { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(`the gateway answers ${answer.status}`);
    const data = await answer.json();
    showHealth(data);
    showTraffic(data);
    takeRefused(data.refused);
    showBots(data.bots);
    showBrokers(data.direct_line);
    showTrust(data);
    lastGood = new Date();
    $("problem").hidden = true;
    say("updated", `Updated ${clock.format(lastGood)}`);
  } catch (error) {
    $("health").className = "pill bad";
    say("health", "No answer");
    say("problem", `No answer from the gateway${lastGood ? ` since ${clock.format(lastGood)}; what stands here is from then` : ""}. (${error.message})`);
    $("problem").hidden = false;
  }
  if (!isPaused) timer = setTimeout(refresh, EVERY_MS);
}

$("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  $("pause").setAttribute("aria-pressed", String(isPaused));
  clearTimeout(timer);
  if (isPaused) say("updated", `Paused at ${clock.format(new Date())}`);
  else refresh();
});
$("filters").addEventListener("input", showRefused);
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("filters").addEventListener("reset", () => queueMicrotask(() => setTimeout(showRefused)));
// A hidden page asks nothing, and is fresh at once when it is looked at again.
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden && !isPaused) refresh();
});
refresh();
