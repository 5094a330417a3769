// The inbox's keyboard and selection; both only add comfort.
const KEY = "mintkeeper.keys";
const dialog = document.getElementById("keys");
const opener = document.querySelector("[data-keys-open]");
const on = document.querySelector("[data-keys-on]");

const lines = () => [...document.querySelectorAll("[data-line]")];
const current = () => lines().indexOf(document.activeElement?.closest("[data-line]"));
const linkOf = (line) => line?.querySelector("a.open");

function move(by) {
  const all = lines(), at = current();
  const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1);
  linkOf(all[next])?.focus();
  all[next]?.scrollIntoView({ block: "nearest" });
}

function select() {
  const box = lines()[current()]?.querySelector("input[type=checkbox]");
  if (!box) return;
  box.checked = !box.checked;
  tell();
}

const chosen = () => document.querySelectorAll("[data-bulk] input[name=id]:checked").length;

function tell() {
  const button = document.querySelector("[data-approve]"), note = document.querySelector("[data-selected]");
  if (!button) return;
  const number = chosen();
  button.textContent = number ? `Approve ${number} selected…` : "Approve selected…";
  button.disabled = number === 0;
  if (note) note.textContent = number ? "Every amount is listed for you to confirm." : "Select requests to approve several at once.";
}

function search() {
  const field = document.querySelector("[data-search]");
  const filters = field?.closest("details");
  if (filters) filters.open = true;
  field?.focus();
  field?.select();
}

function approve() {
  if (chosen()) document.querySelector("[data-bulk]").requestSubmit();
}

const KEYS = {
  j: () => move(1), k: () => move(-1), x: select, a: approve, "/": search, "?": () => dialog.showModal(),
};
const ARROWS = { ArrowDown: () => move(1), ArrowUp: () => move(-1) };

const types = (target) => target.isContentEditable || target.matches("textarea, select, input:not([type=checkbox])");

document.addEventListener("keydown", (event) => {
  if (!dialog || dialog.open || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (types(event.target) || (on && !on.checked)) return;
  // arrows scroll the page, except from a line
  const action = KEYS[event.key] ?? (current() >= 0 ? ARROWS[event.key] : undefined);
  if (!action) return;
  event.preventDefault();
  action();
});

if (dialog && opener && on) {
  opener.hidden = false;
  opener.addEventListener("click", () => dialog.showModal());
  on.checked = localStorage.getItem(KEY) !== "off";
  on.addEventListener("change", () => localStorage.setItem(KEY, on.checked ? "on" : "off"));
}
document.addEventListener("change", (event) => { if (event.target.closest("[data-bulk]")) tell(); });
document.addEventListener("mintkeeper:refreshed", tell);
tell();
