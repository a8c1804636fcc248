"use strict";
const WORDS = { 认领: "认领 / ack", 推迟: "推迟 / snooze", 已解决: "已解决 / resolved", 查看: "查看 / view" };
const list = document.getElementById("list");
const people = document.getElementById("people");
const counts = new Map();
let last = 0;
let chosen = "";

const clock = new Intl.DateTimeFormat("zh-CN", {
  timeZone: "Asia/Shanghai", month: "2-digit", day: "2-digit", weekday: "short", hour: "2-digit", minute: "2-digit",
  hour12: false,
});

function part(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// DingTalk is told to open a link in the browser; nothing but http is opened here.
function address(url) {
  try {
    let found = new URL(url);
    if (found.protocol === "dingtalk:") found = new URL(found.searchParams.get("url"));
    return found.protocol === "http:" || found.protocol === "https:" ? found.href : "";
  } catch {
    return "";
  }
}

function link(url, text, className) {
  const to = address(url);
  if (!to) return part("span", className + " off", text);
  const made = part("a", className, text);
  made.href = to;
  made.target = "_blank";
  made.rel = "noopener noreferrer";
  return made;
}

// Bold, links and mentions within a line; what is none of these stays as it is written.
function inline(line, into) {
  const piece = /\*\*(.+?)\*\*|\[([^\]]+)\]\(([^)\s]+)\)|(https?:\/\/[^\s<>]+)|(@\S+)/gu;
  let from = 0;
  for (const found of line.matchAll(piece)) {
    into.append(line.slice(from, found.index));
    if (found[1]) into.append(part("b", "", found[1]));
    else if (found[2]) into.append(link(found[3], WORDS[found[2]] || found[2], "word"));
    else if (found[4]) into.append(link(found[4], found[4], "word"));
    else into.append(part("span", "call", found[5]));
    from = found.index + found[0].length;
  }
  into.append(line.slice(from));
}

function words(text, markdown) {
  const made = part("div", "words");
  for (const line of text.split("\n")) {
    const head = markdown && /^(#{1,6})\s+(.*)$/u.exec(line);
    const quote = markdown && /^>\s?(.*)$/u.exec(line);
    const item = markdown && /^[-*]\s+(.*)$/u.exec(line);
    const named = /^(.{1,12})[::] ?(https?:\/\/\S+)$/u.exec(line);
    const shown = part(quote ? "blockquote" : "p", head ? "title" : item ? "item" : "");
    if (named) shown.append(link(named[2], WORDS[named[1]] || named[1], "word"));
    else inline(head ? head[2] : quote ? quote[1] : item ? item[1] : line, shown);
    made.append(shown);
  }
  return made;
}

function buttons(message) {
  const made = part("div", "buttons");
  for (const button of message.buttons) {
    made.append(link(button.url, WORDS[button.label] || button.label, "button"));
  }
  return made;
}

// A message as its app draws it.
function bubble(message) {
  const made = part("div", "bubble " + message.form);
  if (message.colour) made.dataset.colour = message.colour;
  if (message.form === "call") made.append(part("p", "ringing", "来电，接听后播报 / a call, read aloud"));
  if (message.form === "card" && message.title) made.append(part("p", "head", message.title));
  made.append(words(message.text, message.form === "markdown" || message.form === "card"));
  if (message.buttons.length) made.append(buttons(message));
  return made;
}

function card(message) {
  const made = part("article", "phone " + message.app);
  made.dataset.person = message.person;
  const head = part("p", "who");
  head.append(
    part("b", "", message.person),
    part("span", "app", message.title_of_app),
    part("time", "", clock.format(new Date(message.at))),
  );
  made.append(head, bubble(message));
  made.hidden = chosen !== "" && chosen !== message.person;
  return made;
}

function choose(person) {
  chosen = person;
  for (const shown of list.children) shown.hidden = chosen !== "" && chosen !== shown.dataset.person;
  names();
}

function names() {
  const chip = (person, text) => {
    const made = part("button", "", text);
    made.type = "button";
    made.setAttribute("aria-pressed", String(chosen === person));
    made.addEventListener("click", () => choose(person));
    return made;
  };
  const all = [...counts.values()].reduce((sum, n) => sum + n, 0);
  people.replaceChildren(chip("", `全部 / all ${all}`));
  for (const [person, n] of [...counts].sort((a, b) => a[0].localeCompare(b[0], "zh"))) {
    people.append(chip(person, `${person} ${n}`));
  }
}

async function look() {
  try {
    const answer = await fetch(`/messages?after=${last}`, { cache: "no-store" });
    const { now, messages } = await answer.json();
    document.getElementById("time").textContent = clock.format(new Date(now));
    document.getElementById("gone").hidden = true;
    for (const message of messages) {
      last = message.n;
      counts.set(message.person, (counts.get(message.person) || 0) + 1);
      list.prepend(card(message));
    }
    while (list.children.length > 300) list.lastElementChild.remove();
    if (messages.length) {
      document.getElementById("hint").hidden = true;
      names();
    }
  } catch {
    document.getElementById("gone").hidden = false;
  }
  setTimeout(look, 1000);
}

names();
look();
