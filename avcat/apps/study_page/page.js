// One rater's way through the study. The server holds the order and the answers; closing this page loses only the
// answers to the current clip.
"use strict";

const $ = (id) => document.getElementById(id);
const video = $("video");
let questions = [];
let clips = [];    // opaque names, in this rater's order
let answers = [];  // answers[n] is {question: 1..5} about clips[n], null if there is none yet
let place = 0;
let seen = false;  // whether the clip in view has been played to its end
let saving = false;

async function call(method, path, body) {
  const options = { method };
  if (body !== undefined) {
    options.headers = { "content-type": "application/json" };
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  if (!response.ok) throw Object.assign(new Error(`${method} ${path}: ${response.status}`), { status: response.status });
  return response.status === 200 ? response.json() : null;
}

function show(id) {
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== id;
  document.querySelector("footer").hidden = id !== "rate" && id !== "done";
  if (id !== "rate") video.pause();
  $(`${id}-title`).focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

async function start() {
  try {
    const study = await call("GET", "/api/study");
    questions = study.questions;
    for (const element of document.querySelectorAll(".count")) element.textContent = study.count;
    for (const element of document.querySelectorAll(".contact")) {
      element.hidden = !study.contact;
      element.querySelector("span").textContent = study.contact;
    }
    $("questions").replaceChildren(...questions.map((question) => fieldset(question, study.scale)));
    await resume();
  } catch (error) {
    if (error.status === 401) show("consent");
    else show("broken");
  }
}

async function resume() {
  ({ clips, answers } = await call("GET", "/api/rater"));
  const open = answers.indexOf(null);
  if (open < 0) finish();
  else go(open);
}

function finish() {
  place = clips.length - 1;
  show("done");
}

function fieldset(question, scale) {
  const set = document.createElement("fieldset");
  set.dataset.question = question.key;
  const legend = document.createElement("legend");
  legend.textContent = question.title;
  const text = document.createElement("p");
  text.textContent = question.text;
  text.id = `${question.key}-text`;
  set.setAttribute("aria-describedby", text.id);
  const row = document.createElement("div");
  row.className = "scale";
  row.append(...scale.map((word, n) => choice(question.key, n + 1, word)));
  set.append(legend, text, row);
  return set;
}

function choice(key, value, word) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name: key, value });
  const number = document.createElement("b");
  number.textContent = value;
  const name = document.createElement("span");
  name.textContent = word;
  label.append(input, number, name);
  return label;
}

function go(to) {
  place = to;
  seen = answers[place] !== null;
  $("questions").reset();
  for (const [key, value] of Object.entries(answers[place] ?? {})) radio(key, value).checked = true;
  $("place").textContent = place + 1;
  $("progress").max = clips.length;
  $("progress").value = answers.filter(Boolean).length;
  $("back").disabled = place === 0;
  trouble("");
  show("rate");
  video.src = `/clips/${clips[place]}.mp4`;
  play();
  update();
}

async function play() {
  try {
    video.currentTime = 0;
    await video.play();
  } catch (error) {
    // Browsers block sound on a page until the first click or key press.
    if (error.name === "NotAllowedError") update("Press Play to begin.");
  }
}

function radio(key, value) {
  return document.querySelector(`input[name="${key}"][value="${value}"]`);
}

function given() {
  return Object.fromEntries([...new FormData($("questions"))].map(([key, value]) => [key, Number(value)]));
}

function update(hint) {
  const now = given();
  const open = questions.find((question) => !(question.key in now));
  for (const set of document.querySelectorAll("fieldset")) set.classList.toggle("marked", set.dataset.question === open?.key);
  $("next").disabled = saving || !seen || Boolean(open);
  $("next").textContent = saving ? "Saving" : place === clips.length - 1 ? "Finish" : "Next";
  $("play").textContent = seen || video.currentTime > 0 ? "Play again" : "Play";
  $("hint").textContent = hint ?? (seen ? "" : "Watch the clip to its end.");
}

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

async function next() {
  if ($("next").disabled) return;
  const sent = given();
  saving = true;
  update();
  try {
    await call("PUT", `/api/ratings/${place}`, sent);
  } catch (error) {
    trouble(error.status === 401 ? "You have withdrawn, in another tab perhaps; nothing was saved."
                                 : "Not saved: the study cannot be reached. Your answers are still here; press Next to try again.");
    return;
  } finally {
    saving = false;
    update();
  }
  answers[place] = sent;
  if (place + 1 < clips.length) go(place + 1);
  else if (answers.includes(null)) go(answers.indexOf(null));
  else finish();
}

function back() {
  if (!saving && place > 0) go(place - 1);
}

function answer(value) {
  const focused = document.activeElement?.closest?.("fieldset");
  const marked = focused ?? document.querySelector("fieldset.marked");
  if (!marked) return;
  const input = radio(marked.dataset.question, value);
  input.checked = true;
  update();
  const open = document.querySelector("fieldset.marked input");
  (open ?? ($("next").disabled ? input : $("next"))).focus();
}

function key(event) {
  if ($("rate").hidden || $("sure").open || event.ctrlKey || event.metaKey || event.altKey) return;
  const name = event.key.toLowerCase();
  const onButton = event.target.closest?.("button, summary");
  if (/^[1-5]$/.test(name)) answer(Number(name));
  else if (name === "p") play();
  else if (name === "n" || (name === "enter" && !onButton)) next();
  else if (name === "b") back();
  else return;
  event.preventDefault();
}

video.addEventListener("ended", () => {
  seen = true;
  update();
  const to = place + 1;
  if (to < clips.length) fetch(`/clips/${clips[to]}.mp4`).catch(() => {});  // so that the next one starts at once
});
video.addEventListener("playing", () => update());
video.addEventListener("error", () => {
  if (video.getAttribute("src")) trouble("The clip cannot be loaded. Press Play to try again.");
});
$("play").addEventListener("click", () => {
  if (video.error) video.load();
  trouble("");
  play();
});
$("questions").addEventListener("change", () => update());
$("questions").addEventListener("submit", (event) => event.preventDefault());
$("next").addEventListener("click", next);
$("back").addEventListener("click", back);
$("again").addEventListener("click", () => go(place));
$("retry").addEventListener("click", start);
$("agree").addEventListener("change", () => { $("begin").disabled = !$("agree").checked; });
$("begin").addEventListener("click", async () => {
  try {
    await call("POST", "/api/rater", { consent: true });
    await resume();
  } catch { show("broken"); }
});
$("withdraw").addEventListener("click", () => $("sure").showModal());
$("keep").addEventListener("click", () => $("sure").close());
$("delete").addEventListener("click", async () => {
  $("sure").close();
  try {
    await call("DELETE", "/api/rater");
    show("gone");
  } catch (error) {
    if (error.status === 401) show("gone");
    else trouble("Not deleted: the study cannot be reached. Please try again.");
  }
});
document.addEventListener("keydown", key);
start();
