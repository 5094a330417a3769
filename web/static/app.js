// What every signed-in page shares: running countdowns, lines to click on, and news as they happen. Each page works
// without it.
const main = document.querySelector("main");

// ---- countdowns, by the server's clock

const skew = Date.parse(main?.dataset.now ?? "") - Date.now() || 0;
const MINUTE = 60, HOUR = 3600, DAY = 86400;

export function timeLeft(seconds) {
  if (seconds <= 0) return "overdue";
  if (seconds < MINUTE) return `${seconds} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h ${Math.floor((seconds % HOUR) / MINUTE)} min`;
  return `${Math.floor(seconds / DAY)} d ${Math.floor((seconds % DAY) / HOUR)} h`;
}

function count() {
  const now = Date.now() + skew;
  for (const element of document.querySelectorAll(".countdown[data-until]")) {
    const seconds = Math.floor((Date.parse(element.dataset.until) - now) / 1000);
    const text = timeLeft(seconds);
    if (element.textContent !== text) element.textContent = text;
    element.classList.toggle("overdue", seconds <= 0);
    element.classList.toggle("soon", seconds > 0 && seconds < 2 * HOUR);
  }
}

setInterval(count, 1000);

// ---- a click anywhere on a line opens its request, unless somebody ticks it or marks text to copy it

document.addEventListener("click", (event) => {
  const line = event.target.closest("[data-line]");
  if (!line || event.target.closest("a, button, .pick") || !getSelection().isCollapsed) return;
  const { ctrlKey, metaKey, shiftKey } = event;
  line.querySelector("a.open").dispatchEvent(
    new MouseEvent("click", { bubbles: true, cancelable: true, ctrlKey, metaKey, shiftKey }));
});

// ---- what somebody does in a part that is about to be replaced

const labelOf = (field) => field.id || (field.name && `${field.name}=${field.type === "checkbox" || field.type === "radio" ? field.value : ""}`);
const fieldsOf = (part) => [...part.querySelectorAll("input:not([type=hidden]), textarea, select")];

function isTouched(field) {
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  if (field.tagName === "SELECT") return [...field.options].some((option) => option.selected !== option.defaultSelected);
  return field.value !== field.defaultValue;
}

function keepTyped(from, to) {
  const fresh = new Map(fieldsOf(to).map((field) => [labelOf(field), field]));
  for (const field of fieldsOf(from).filter(isTouched)) {
    const twin = fresh.get(labelOf(field));
    if (!twin) continue;
    if (field.type === "file") twin.replaceWith(field);
    else if (field.type === "checkbox" || field.type === "radio") twin.checked = field.checked;
    else twin.value = field.value;
  }
  for (const details of from.querySelectorAll("details[id]")) {
    const twin = to.querySelector(`#${CSS.escape(details.id)}`);
    if (twin) twin.open = details.open;
  }
}

function focusIn(part) {
  const active = document.activeElement;
  if (!part.contains(active)) return () => {};
  const name = labelOf(active), href = active.getAttribute("href");
  const place = [...part.querySelectorAll("[data-line]")].indexOf(active.closest("[data-line]"));
  let caret = null;
  try { caret = [active.selectionStart, active.selectionEnd]; } catch { /* not a text field */ }
  return (fresh) => {
    const all = [...fresh.querySelectorAll("a, button, input, textarea, select, summary")];
    const lines = [...fresh.querySelectorAll("[data-line]")];
    const twin = all.find((one) => name && labelOf(one) === name) ?? all.find((one) => href && one.getAttribute("href") === href)
      // its line is gone: go on with the one that took its place
      ?? lines[Math.min(place, lines.length - 1)]?.querySelector("a");
    (twin ?? main).focus({ preventScroll: true });
    if (twin && caret && caret[0] !== null) try { twin.setSelectionRange(...caret); } catch { /* the same */ }
  };
}

function swap(part, fresh) {
  const focus = focusIn(part);
  keepTyped(part, fresh);
  part.replaceWith(fresh);
  focus(fresh);
}

// ---- fetching the page anew

const news = document.createElement("p");
news.className = "visually-hidden";
news.setAttribute("role", "status");
document.body.append(news);

let refreshing = false, again = false, composing = false;
document.addEventListener("compositionstart", () => { composing = true; });
document.addEventListener("compositionend", () => { composing = false; if (again) refresh(); });

const busy = () => composing || [...document.querySelectorAll("[data-refresh] dialog[open]")].length > 0;

export async function refresh() {
  if (refreshing || busy()) { again = true; return; }
  refreshing = true;
  again = false;
  try {
    const answer = await fetch(location.href, { headers: { "X-Mintkeeper-Refresh": "live", Accept: "text/html" } });
    if (answer.redirected && new URL(answer.url).pathname === "/sign-in") { over(); return; }
    if (answer.ok && !busy()) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    else if (answer.ok) again = true;
  } catch {
    // away for a moment: the stream says when we are back
    again = true;
  } finally {
    refreshing = false;
  }
  if (again && !busy()) setTimeout(refresh, 300);
}

function show(page) {
  for (const part of document.querySelectorAll("[data-refresh][id]")) {
    const fresh = page.getElementById(part.id);
    if (fresh && fresh.outerHTML !== part.outerHTML) swap(part, document.adoptNode(fresh));
  }
  if (page.title) document.title = page.title;
  count();
  document.dispatchEvent(new CustomEvent("mintkeeper:refreshed"));
  const summary = document.querySelector("[data-summary]")?.textContent.trim();
  if (summary && summary !== news.dataset.said) news.textContent = news.dataset.said = summary;
}

// ---- the stream

const host = document.querySelector("[data-live]");
const live = host?.dataset.live;
const state = document.querySelector("[data-live-state]");
let stream = null, behind = host?.dataset.seq ?? null, lost = null;
news.dataset.said = document.querySelector("[data-summary]")?.textContent.trim() ?? "";

function say(text) {
  if (state) { state.hidden = false; state.textContent = text; }
}

function listen() {
  if (stream || document.visibilityState === "hidden") return;
  stream = new EventSource(behind === null ? "/api/events" : `/api/events?behind=${behind}`);
  stream.addEventListener("hello", (event) => {
    clearTimeout(lost);
    lost = null;
    say("live");
    // without a number of its own the page may have missed something before this
    if (behind === null) refresh();
    behind = event.lastEventId;
  });
  stream.addEventListener("request", (event) => {
    behind = event.lastEventId;
    const { id } = JSON.parse(event.data);
    if (live === "*" || live.split(" ").includes(id)) refresh();
  });
  stream.addEventListener("missed", (event) => { behind = event.lastEventId; refresh(); });
  stream.addEventListener("over", over);
  stream.onerror = () => {
    // the browser tries again by itself, unless the server has said no
    lost ??= setTimeout(() => say("not live: reload to see what is new"), 5000);
    if (stream?.readyState === EventSource.CLOSED) { stop(); setTimeout(listen, 10000); }
  };
}

function stop() {
  stream?.close();
  stream = null;
}

function over() {
  stop();
  document.removeEventListener("visibilitychange", look);
  say("");
  const told = document.createElement("p");
  told.className = "news bad";
  told.setAttribute("role", "alert");
  const link = document.createElement("a");
  link.href = `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;
  link.textContent = "Sign in again";
  told.append("You are signed out, and this page is no longer up to date. ", link);
  main.prepend(told);
}

function look() {
  // a browser has few connections for each site: only pages that somebody sees take one
  if (document.visibilityState === "hidden") stop();
  else listen();
}

if (live) {
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (event) => { if (event.persisted) { refresh(); look(); } });
  document.addEventListener("close", () => { if (again) refresh(); }, true);
  look();
}
count();

// ---- forms that are sent once

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]")) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
  const progress = form.querySelector("[data-progress]");
  if (progress) progress.textContent = "On its way: the next page says what became of each.";
});
addEventListener("pageshow", (event) => {
  if (event.persisted) for (const form of document.querySelectorAll("[data-once]")) delete form.dataset.sent;
});
