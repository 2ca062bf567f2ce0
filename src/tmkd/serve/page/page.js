// The page's script: asks /answer and shows the reply. Texts that come from outside are set as text, never as markup.

const SLOW = 2000; // milliseconds after which a wait is told
const TRIES = 4; // of one question, when the server is overloaded
const JITTER = 0.2; // a wait is up to this share longer, so that many pages do not return at once
const ROUTES = {
  head: ["head", "looked up, computed before"],
  tail: ["tail", "ranked now"],
  cache: ["cache", "ranked a moment ago"],
};
const PHASES = { lookup: "look-up", search: "search", rank: "ranking", sentences: "best sentences" };
const NEVER = " No score was precise enough on dev, so there is no threshold that an answer could reach.";
const TOKEN = "tmkd-token";

const one = (selector, within = document) => within.querySelector(selector);
const [input, facts, answers, examples] = ["#question", "#facts", "#answers", "#examples"].map((name) => one(name));
let running = null; // AbortController of the question under way

// -- texts ----------------------------------------------------------------------------------------------------------

/** Split a text into before, within and after [start, end], which count code points and not UTF-16 units. */
function splitAt(text, [start, end]) {
  const points = Array.from(text);
  return [points.slice(0, start), points.slice(start, end), points.slice(end)].map((part) => part.join(""));
}

/** Parse an http or https address; null for any other text. */
function webAddress(text) {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url && ["http:", "https:"].includes(url.protocol) ? url : null;
}

const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const duration = (ms) => (ms < 0.05 ? "< 0.1 ms" : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`);

// -- requests -------------------------------------------------------------------------------------------------------

/** A reply other than 200: its status, and the milliseconds after which to ask again, or null. */
class Refusal extends Error {
  constructor(status, message, wait) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

async function get(path, signal) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const reply = await fetch(path, { headers, signal });
  const body = await reply.json().catch(() => null);
  if (reply.ok && body) return body;
  const told = Number(reply.headers.get("retry-after-ms") ?? 1000 * reply.headers.get("retry-after"));
  throw new Refusal(reply.status, body?.error ?? reply.statusText, told > 0 ? told : null);
}

function sleep(ms, signal) {
  return new Promise((done, failed) => {
    signal.throwIfAborted();
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), failed(signal.reason)), { once: true });
  });
}

/** Ask for a question's answers; while the server is overloaded, wait as told and ask again. */
async function ask(question, signal) {
  for (let tries = 1; ; tries++) {
    show("loading");
    const slow = setTimeout(() => show("slow", "Still at work. This takes longer than usual.", "Stop", stop), SLOW);
    signal.addEventListener("abort", () => clearTimeout(slow));
    try {
      return await get(`answer?best_sentence=true&teachers=true&q=${encodeURIComponent(question)}`, signal);
    } catch (error) {
      if (!error.wait || tries === TRIES) throw error;
      clearTimeout(slow);
      const until = Date.now() + error.wait * (1 + JITTER * Math.random());
      for (let left; (left = until - Date.now()) > 0; ) {
        show("busy", `The server is busy. Asking again in ${Math.ceil(left / 1000)} s.`, "Stop", stop);
        await sleep(Math.min(left, 1000), signal);
      }
    } finally {
      clearTimeout(slow);
    }
  }
}

// -- states ---------------------------------------------------------------------------------------------------------

/** Change the page's state; a message and a button with it, or none. */
function show(state, message = "", label = "", action = null) {
  document.body.dataset.state = state;
  one("#message p").textContent = message;
  const button = one("#message button");
  button.hidden = !label;
  button.textContent = label;
  button.onclick = action;
  examples.hidden = !["home", "empty"].includes(state);
  one("#token").hidden = state !== "token";
  if (!["loading", "slow", "answers"].includes(state)) {
    facts.hidden = true;
    answers.replaceChildren();
  }
}

function stop() {
  running?.abort();
  show("home");
  toBox();
}

function toBox() {
  input.focus();
  input.select();
}

async function search(question) {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  input.value = question;
  document.title = question ? `${question} – tmkd` : "tmkd";
  if (!question) return show("home");
  try {
    const reply = await ask(question, signal);
    if (!signal.aborted) showReply(reply);
  } catch (error) {
    if (!signal.aborted) showFailure(error, question);
  }
}

function showFailure(error, question) {
  if (error.status === 401) return askForToken();
  const again = () => search(question);
  if (!(error instanceof Refusal)) show("error", "The server does not answer. Is it still running?", "Try again", again);
  else if (error.status === 429) show("busy", "The server is too busy at present.", "Try again", again);
  else show("error", `The server reports an error: ${error.message} (${error.status})`, "Try again", again);
}

function askForToken() {
  if (document.body.dataset.state === "token") return;
  const refused = sessionStorage.getItem(TOKEN) !== null;
  sessionStorage.removeItem(TOKEN);
  show("token", refused ? "The server does not accept this token." : "");
  one("#secret").focus();
}

// -- answers --------------------------------------------------------------------------------------------------------

function showReply(reply) {
  const { threshold } = reply;
  if (!reply.answers.length) {
    const limit = threshold === null ? "" : ` Its score must be at least ${threshold.toFixed(2)}.`;
    show("empty", `No answer found.${threshold > 1 ? NEVER : `${limit} Other words may find one.`}`);
  } else {
    const within = answers.contains(document.activeElement); // on an answer to the question before
    show("answers");
    answers.replaceChildren(...reply.answers.map((answer) => answerItem(answer, threshold)));
    if (within) one("li", answers).focus();
  }
  showFacts(reply);
}

function showFacts({ route, answers: found, threshold, candidates, ranked, milliseconds }) {
  const [name, meaning] = ROUTES[route] ?? [route, ""];
  one(".route", facts).textContent = name;
  const counts = [meaning];
  if (found.length) counts.push(plural(found.length, "answer"));
  if (threshold !== null && found.length) counts.push(`threshold ${threshold.toFixed(2)}`);
  if (route !== "head") counts.push(`${ranked} of ${plural(candidates, "candidate")} ranked`);
  if (found.some((answer) => !answer.ranked)) counts.push("the others as the search found them: the time was up");
  one(".counts", facts).textContent = counts.filter(Boolean).join(" · ");
  const phases = Object.keys(PHASES).filter((phase) => milliseconds[phase] > 0);
  const parts = phases.map((phase) => dot(phase));
  parts.forEach((part, place) => (part.style.width = `${(100 * milliseconds[phases[place]]) / (milliseconds.total || 1)}%`));
  one(".phases", facts).replaceChildren(...parts);
  const times = phases.map((phase) => {
    const told = document.createElement("span");
    told.append(dot(phase), `${PHASES[phase]} ${duration(milliseconds[phase])}`);
    return told;
  });
  const total = document.createElement("b");
  total.textContent = `total ${duration(milliseconds.total)}`;
  one(".times", facts).replaceChildren(...times, total);
  facts.hidden = false;
}

function dot(phase) {
  const element = document.createElement("i");
  element.className = phase;
  return element;
}

function answerItem(answer, threshold) {
  const item = one("#answer").content.firstElementChild.cloneNode(true);
  const url = webAddress(answer.url);
  const link = one("a", item);
  link.textContent = answer.title || url?.host || answer.url || "no title";
  if (url) link.href = url.href;
  one(".host", item).textContent = url ? url.host : answer.url === link.textContent ? "" : answer.url;
  const parts = splitAt(answer.passage, answer.best_sentence ?? [0, 0]);
  [...one(".passage", item).children].forEach((element, place) => (element.textContent = parts[place]));
  const teachers = Object.entries(answer.teachers ?? {});
  const scores = one(".score", item);
  scores.append(measure(teachers.length ? "student" : "", answer.score, threshold, "student"));
  for (const [name, score] of teachers) scores.append(measure(name, score, null, "teacher"));
  return item;
}

/** A score between 0 and 1 as a bar with its number; null: not scored. */
function measure(who, score, threshold, kind) {
  const line = one("#score").content.firstElementChild.cloneNode(true);
  line.classList.add(kind);
  one(".who", line).textContent = who;
  one(".number", line).textContent = score === null ? "not ranked" : score.toFixed(3);
  const bar = one(".bar", line);
  bar.setAttribute("aria-label", `score ${who}`.trim());
  bar.setAttribute("aria-valuenow", score ?? 0);
  one("i", bar).style.width = `${100 * (score ?? 0)}%`;
  const tick = one("b", bar);
  tick.hidden = threshold === null || threshold > 1 || score === null;
  tick.style.left = `${100 * threshold}%`;
  return line;
}

// -- what the server says of itself, and the address ----------------------------------------------------------------

async function describe() {
  try {
    const info = await get("info");
    const width = info.width ? `, ${plural(info.width, "byte")} an input` : "";
    one("#model").textContent = [info.model_id, `${info.engine}, ${info.precision}${width}`].filter(Boolean).join(" · ");
    one("ul", examples).replaceChildren(...(info.examples ?? []).map(exampleItem));
  } catch (error) {
    if (document.body.dataset.state === "home") showFailure(error, "");
  }
}

function exampleItem(question) {
  const [item, link] = ["li", "a"].map((name) => document.createElement(name));
  link.textContent = question;
  link.dir = "auto";
  link.href = `?q=${encodeURIComponent(question)}`;
  item.append(link);
  return item;
}

const asked = () => new URLSearchParams(location.search).get("q")?.trim() ?? "";

function start() {
  search(asked());
  describe();
}

function go(question) {
  if (question !== asked()) history.pushState(null, "", question ? `?q=${encodeURIComponent(question)}` : location.pathname);
  return search(question);
}

one("#search").addEventListener("submit", (event) => (event.preventDefault(), go(input.value.trim())));
one("#token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, one("#secret").value.trim());
  one("#secret").value = "";
  start();
  input.focus();
});
examples.addEventListener("click", (event) => {
  if (!event.target.matches("a") || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(event.target.textContent);
  input.focus();
});
addEventListener("popstate", () => search(asked()));

// -- keys -----------------------------------------------------------------------------------------------------------

/** Move the focus from the box through answers or examples, and back. */
function move(step) {
  const items = [...document.querySelectorAll("#answers li, #examples:not([hidden]) a")];
  const place = items.indexOf(document.activeElement.closest("#answers li, #examples a")) + step;
  (place < 0 ? input : items[Math.min(place, items.length - 1)])?.focus();
}

addEventListener("keydown", (event) => {
  const typing = event.target.matches("input");
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.target.id === "secret") return;
  if (event.key === "Escape") ["loading", "slow", "busy"].includes(document.body.dataset.state) ? stop() : toBox();
  else if (event.key === "/" && !typing) toBox();
  else if (event.key === "ArrowDown" || (event.key === "j" && !typing)) move(1);
  else if ((event.key === "ArrowUp" || event.key === "k") && !typing) move(-1);
  else if (event.key === "Enter" && event.target.matches("#answers li")) one("a[href]", event.target)?.click();
  else return;
  event.preventDefault();
});

start();
