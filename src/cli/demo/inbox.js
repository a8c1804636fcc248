"use strict";
const CLASSES = { p0: "P0 立即 / now", p1: "P1 紧急 / urgent", p2: "P2 一般 / normal", p3: "P3 知会 / notice" };
const CHANNELS = { im: "即时消息 / IM", sms: "短信 / SMS" };
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

function button(href, text) {
  const made = part("a", "button", text);
  made.href = href;
  made.target = "_blank";
  made.rel = "noopener noreferrer";
  return made;
}

function card(message) {
  const made = part("article", "card " + (message.class in CLASSES ? message.class : "p3"));
  made.dataset.person = message.person;
  const head = part("p", "head");
  head.append(
    part("b", "", message.person),
    part("span", "", CHANNELS[message.channel] || message.channel),
    part("span", "class", CLASSES[message.class] || message.class),
    part("time", "", clock.format(new Date(message.at))),
  );
  const links = part("p", "links");
  const words = [];
  for (const line of message.text.split("\n")) {
    const link = /^(.{1,12})[::] ?(https?:\/\/\S+)$/u.exec(line);
    if (link) links.append(button(link[2], WORDS[link[1]] || link[1]));
    else words.push(line);
  }
  made.append(head, part("h2", "", message.subject), part("pre", "", words.join("\n")));
  if (links.childElementCount) made.append(links);
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
