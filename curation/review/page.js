"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const REASONS = [...document.querySelectorAll("[data-reason]")].map((button) => button.dataset.reason);
  const words = (name) => String(name).replaceAll("_", " ");
  const number = (value) => (value === null || value === undefined ? "not measured" : String(Number(value.toPrecision(4))));
  const clock = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;
  const plural = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
  const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

  let state = null, item = null, reason = "", asksWhy = false, busy = false, rest = false, bordered = true, muted = false;
  let film = null, ahead = null, other = null;

  /** An element with properties, and children that are elements or text: nothing from outside is ever parsed as HTML. */
  function make(name, props = {}, ...children) {
    const node = Object.assign(document.createElement(name), props);
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  }

  /** The server's own drawing; it holds numbers only. */
  function drawing(svg) {
    return svg ? new DOMParser().parseFromString(svg, "text/html").body.firstElementChild : null;
  }

  // -- the server
  async function ask(path, values) {
    const options = values ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...values, rest }) } : {};
    let answer;
    try {
      answer = await fetch(path, options);
    } catch {
      throw new Error("The server does not answer. Nothing was saved; start svmbench review again and open the address that it prints.");
    }
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    return found;
  }

  async function attempt(work) {
    if (busy) return;
    busy = true;
    try {
      await work();
      $("trouble").hidden = true;
    } catch (error) {
      $("trouble").textContent = error.message;
      $("trouble").hidden = false;
    }
    busy = false;
  }

  const refresh = () => attempt(async () => show(await ask(rest ? "state?rest=1" : "state")));

  const decide = (verdict) => {
    if (!item || busy) return;
    if (verdict === "drop" && !reason) return askWhy(true);
    const why = reason;
    attempt(async () => {
      const found = await ask("decide", { clip_id: item.clip_id, verdict, reason: why });
      say({ keep: "Kept", drop: "Dropped", unsure: "Unsure" }[verdict] + (why ? `: ${words(why)}` : ""));
      show(found);
    });
  };

  const undo = () => attempt(async () => {
    const found = await ask("undo", {});
    say("Taken back");
    show(found);
  });

  function say(text) {
    $("told").textContent = text;
  }

  function askWhy(wanted) {
    asksWhy = wanted;
    $("decide").classList.toggle("why", wanted);
    $("why").textContent = wanted ? "Drop: why?" : "Reason";
    if (wanted) say("");
  }

  function choose(name) {
    reason = reason === name && !asksWhy ? "" : name;
    for (const button of document.querySelectorAll("[data-reason]")) button.setAttribute("aria-pressed", String(button.dataset.reason === reason));
    if (asksWhy && reason) decide("drop");
  }

  // -- the player
  const address = (clipId) => `media/${encodeURIComponent(clipId)}`;

  function video(clipId, startS, here) {
    const node = make("video", { preload: "auto", playsInline: true, muted, src: `${address(clipId)}#t=${startS}` });
    node.dataset.clip = clipId;
    if (here) node.className = "here";
    $("frame").prepend(node);
    return node;
  }

  function load() {
    other = null;
    const ready = ahead && ahead.dataset.clip === item.clip_id ? ahead : null;
    for (const node of $("frame").querySelectorAll("video")) if (node !== ready) { node.removeAttribute("src"); node.load(); node.remove(); }
    ahead = null;
    $("unplayable").hidden = item.playable;
    $("unplayable").textContent = "The file of this clip is not in the run.";
    $("start").hidden = true;
    film = item.playable ? ready ?? video(item.clip_id, item.start_s, true) : null;
    if (film) {
      const mine = film;
      film.className = "here";
      film.muted = muted;
      film.addEventListener("error", () => { if (film === mine) unplayable(); });
      film.addEventListener("ended", () => { if (film === mine) { seek(0); play(); } });
      film.addEventListener("canplaythrough", () => { if (film === mine) prefetch(); }, { once: true });
      if (film.error) unplayable();
      if (film.readyState >= 4) prefetch();
      if (calm) $("start").hidden = false; else play();
    } else {
      prefetch();
    }
  }

  function unplayable() {
    $("unplayable").textContent = "This browser cannot play this clip's file. The numbers stand beside it; U leaves it to somebody else.";
    $("unplayable").hidden = false;
    $("start").hidden = true;
    prefetch();
  }

  function prefetch() {
    if (state.next && !ahead) ahead = video(state.next.clip_id, state.next.start_s, false);
  }

  function play() {
    if (!film) return;
    if (other) pauseOther();
    film.play().then(() => { $("start").hidden = true; }, (error) => { if (error.name === "NotAllowedError") $("start").hidden = false; });
  }

  function toggle() {
    if (film?.paused) play(); else film?.pause();
  }

  function seek(s) {
    if (film) film.currentTime = item.start_s + Math.min(Math.max(s, 0), Math.max(length() - 0.05, 0));
  }

  const length = () => Math.max(item.end_s - item.start_s, 0.01);
  const position = () => Math.min(Math.max((film?.currentTime ?? item.start_s) - item.start_s, 0), length());

  function follow() {
    if (item) {
      if (film && !film.paused && film.currentTime >= item.end_s) seek(0);
      const s = position(), share = `${(100 * s) / length()}%`;
      $("head").style.left = share;
      $("played").style.width = share;
      const told = `${clock(s)} / ${clock(length())}`;
      if ($("time").textContent !== told) {
        $("time").textContent = told;
        $("timeline").setAttribute("aria-valuenow", s.toFixed(1));
        $("timeline").setAttribute("aria-valuetext", `${s.toFixed(1)} of ${length().toFixed(1)} seconds`);
      }
      const label = film && !film.paused ? "Pause " : "Play ";
      if ($("play").firstChild.data !== label) $("play").firstChild.data = label;
    }
    requestAnimationFrame(follow);
  }

  function pauseOther() {
    other?.pause();
    other = null;
    const button = $("play-other");
    if (button) button.firstChild.data = "Play it ";
  }

  function toggleOther() {
    const node = $("other");
    if (!node) return;
    if (other) {
      pauseOther();
      play();
      return;
    }
    film?.pause();
    other = node;
    node.muted = muted;
    $("play-other").firstChild.data = "Back ";
    node.play().catch(() => pauseOther());
  }

  function mute() {
    muted = !muted;
    $("mute").setAttribute("aria-pressed", String(muted));
    for (const node of document.querySelectorAll("video")) node.muted = muted;
  }

  function border() {
    bordered = !bordered;
    $("border").setAttribute("aria-pressed", String(bordered));
    $("overlay").style.visibility = bordered ? "visible" : "hidden";
  }

  function overlay() {
    const { width_px: w, height_px: h, box } = item;
    const right = box.left_px + box.width_px, bottom = box.top_px + box.height_px;
    $("work").style.setProperty("--ratio", w && h ? w / h : 0.5625);
    $("overlay").setAttribute("viewBox", `0 0 ${w || 1} ${h || 1}`);
    $("overlay").replaceChildren();
    const boxed = box.width_px !== w || box.height_px !== h;
    $("border").disabled = !boxed;
    $("border").title = boxed ? "What is cut away is dimmed" : "This clip has no border";
    if (!boxed) return;
    const part = (name, attributes) => {
      const node = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      $("overlay").append(node);
    };
    part("path", { class: "dim", "fill-rule": "evenodd", d: `M0 0H${w}V${h}H0Z M${box.left_px} ${box.top_px}V${bottom}H${right}V${box.top_px}Z` });
    part("rect", { class: "box", x: box.left_px, y: box.top_px, width: box.width_px, height: box.height_px, "stroke-width": Math.max(w, h) / 220 });
  }

  // -- what is known of the clip
  function banner() {
    const stamp = $("stamp"), told = item.verdict;
    stamp.className = told?.verdict ?? "";
    stamp.textContent = item.blind ? "Blind check" : { review: "In doubt", keep: "The rules keep it", drop: "The rules drop it" }[told.verdict];
    const parts = [];
    if (item.third) parts.push("Two reviewers disagree on this clip. ");
    if (item.blind) parts.push("You are not told what the filter says: this measures how often it is wrong.");
    else if (told.verdict !== "keep") {
      const row = item.numbers.find((one) => one.filter === told.filter);
      const measure = row && told.value === row.value ? `${words(row.measure)} ` : "";
      parts.push(make("b", {}, words(told.reason)));
      if (told.filter) parts.push(` · rule ${words(told.filter)}`);
      if (told.value !== null) parts.push(` · ${measure}${number(told.value)}`);
      if (row?.thresholds.length) parts.push(`, turns at ${row.thresholds.map(number).join(" and ")}`);
    } else if (item.closest) parts.push(`Closest call: ${words(item.closest.filter)}, ${item.closest.margin.toPrecision(2)} spreads from its threshold`);
    $("said-by").replaceChildren(...parts);
  }

  function timeline() {
    $("wave").replaceChildren(drawing(item.waveform) ?? make("p", {}, item.no_waveform));
    $("flow").replaceChildren(...[drawing(item.flow)].filter(Boolean));
    $("timeline").setAttribute("aria-valuemax", length().toFixed(1));
    const marks = [];
    if (item.waveform) marks.push(["loudness", "is-wave"], ["beat", "is-beat"]);
    if (item.waveform && !item.blind) marks.splice(1, 0, ["speech", "is-speech"]);
    if (item.flow) marks.push(["motion", "is-motion"], ["cut", "is-cut"]);
    $("legend").replaceChildren(...marks.map(([text, className]) => make("span", { className }, text)));
  }

  function numbers() {
    if (item.blind) {
      $("numbers").replaceChildren(make("p", { className: "blind" }, "The numbers and the stretches of speech are hidden. Look, listen, and say what you would do."));
      return;
    }
    const heads = [["rule", ""], ["value", "value"], ["among all clips", ""], ["turns at", "turns"]];
    const body = make("tbody");
    for (const row of item.numbers) {
      const strip = make("td", {}, drawing(row.strip));
      body.append(make("tr", { className: row.fired ? "fired" : "" },
        make("th", { scope: "row" }, words(row.filter), make("small", {}, words(row.measure))),
        make("td", { className: "value" }, number(row.value)), strip,
        make("td", { className: "turns" }, row.thresholds.map(number).join(", ") || "–")));
      const reads = row.reads.map(([name, value]) => `${words(name)} ${number(value)}`).join(" · ");
      if (row.fired && reads) body.append(make("tr", { className: "fired also" }, make("td", { colSpan: 4 }, `beside ${reads}`)));
    }
    const head = make("thead", {}, make("tr", {}, ...heads.map(([text, className]) => make("th", { scope: "col", className }, text))));
    const all = [make("table", {}, head, body)];
    if (item.others.length) {
      const rows = item.others.map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, words(name)), make("td", { className: "value" }, number(value))));
      all.push(make("details", {}, make("summary", {}, `${rows.length} more measures`), make("table", {}, make("tbody", {}, ...rows))));
    }
    if (item.errors.length) all.push(make("div", { className: "errors" }, ...item.errors.map((text) => make("p", {}, make("bdi", {}, text)))));
    $("numbers").replaceChildren(...all);
  }

  function post() {
    const { caption, hashtags, track, likes, url, key } = item.post;
    const id = url ? make("a", { href: url, rel: "noreferrer noopener", target: "_blank" }, make("bdi", {}, key)) : make("bdi", {}, key);
    const facts = make("p", { className: "small" }, id, likes === null ? "" : ` · ${likes.toLocaleString("en")} likes`);
    if (track) facts.append(" · ♪ ", make("bdi", {}, track));
    $("post").replaceChildren(
      make("p", { className: "caption" }, make("bdi", {}, caption || "no caption")),
      make("ul", { className: "tags" }, ...hashtags.map((tag) => make("li", {}, make("bdi", {}, `#${tag.replace(/^#/, "")}`)))), facts);
  }

  function song() {
    const { song_id, num_clips, source, match_score, other: member } = item.song;
    const how = { platform: "by the platform's id", fingerprint: "by its sound", alone: "" }[source] ?? "";
    const told = num_clips > 1 ? `${num_clips} clips share it` : "No other clip of this run shares it";
    const parts = [make("p", {}, [told, num_clips > 1 ? how : "", match_score === null ? "" : `match ${number(match_score)}`].filter(Boolean).join(", "))];
    if (member) {
      const node = make("video", { id: "other", preload: "metadata", playsInline: true, muted, src: `${address(member.clip_id)}#t=${member.start_s},${member.end_s}` });
      node.addEventListener("pause", () => { if (other === node) pauseOther(); });  // at the end of its stretch
      const button = make("button", { type: "button", id: "play-other" }, "Play it ", make("kbd", {}, "G"));
      button.addEventListener("click", () => { toggleOther(); });
      parts.push(make("div", { className: "other" }, node, make("div", {}, make("p", { className: "caption small" }, make("bdi", {}, member.caption || member.clip_id)), button)));
    }
    parts.push(make("p", { className: "small" }, make("bdi", {}, song_id)));
    $("song").replaceChildren(...parts);
  }

  function show(found) {
    state = found;
    item = found.item;
    reason = "";
    askWhy(false);
    choose("");
    $("run").textContent = found.run;
    $("reviewer").textContent = found.reviewer;
    $("undo").disabled = !found.can_undo;
    count();
    $("work").hidden = !item;
    $("finished").hidden = Boolean(item);
    $("decide").hidden = !item && !found.can_undo;
    for (const group of document.querySelectorAll(".verdicts, .reasons")) group.hidden = !item;
    if (item) {
      document.title = `${found.run}: review`;
      overlay();
      banner();
      timeline();
      numbers();
      post();
      song();
      load();
      document.querySelector(".facts").scrollTop = 0;
      $("work").focus({ preventScroll: true });
    } else {
      film?.pause();
      film = null;
      finish();
      $("finished").focus({ preventScroll: true });
    }
    if (found.problems) say(`${plural(found.problems, "line")} of the log could not be read; see Summary`);
  }

  function count() {
    const { done, waiting, done_rest, waiting_rest } = state;
    const all = done + waiting, inRest = rest && !waiting;
    const [now, of] = inRest ? [done_rest, done_rest + waiting_rest] : [done, all];
    $("bar").max = of || 1;
    $("bar").value = of ? now : 1;
    $("count").textContent = inRest ? `${now} of ${of} of the rest` : `${now} of ${of} decided`;
  }

  function finish() {
    $("finished-title").textContent = "All done";
    const { done, waiting_rest } = state;
    $("finished-words").textContent = done
      ? `You have decided on ${plural(done, "clip")}: all that need you. Apply the decisions with the command below; nothing is decoded again.`
      : "The rules are in doubt about no clip of this run. You can check the closest calls.";
    $("go-on").hidden = !waiting_rest;
    $("go-on").replaceChildren("Go on with the closest calls of the rest ", make("kbd", {}, "C"), ` (${waiting_rest})`);
    summarise(document.querySelector("#finished .summary"));
  }

  function goOn() {
    if (!item && state?.waiting_rest) {
      rest = true;
      refresh();
    }
  }

  // -- the summary
  function rate(title, told, what) {
    const track = make("div", { className: "track" });
    if (told.ci95) {
      const interval = make("i"), dot = make("b");
      interval.style.left = `${100 * told.ci95[0]}%`;
      interval.style.width = `${100 * (told.ci95[1] - told.ci95[0])}%`;
      dot.style.left = `${100 * told.share}%`;
      track.append(interval, dot);
    }
    const line = told.num_checked
      ? `${told.num_wrong} of ${told.num_checked} ${what}: ${percent(told.share)}, 95 % interval ${percent(told.ci95[0])} to ${percent(told.ci95[1])}`
      : "no blind clip of these decided yet";
    return make("div", { className: "rate" }, make("div", {}, make("div", {}, title), make("p", { className: "small" }, line)), track);
  }

  async function summarise(place) {
    let told;
    try {
      told = await ask("summary");
    } catch (error) {
      place.replaceChildren(make("p", { className: "problems" }, error.message));
      return;
    }
    const fact = (name, value) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value)));
    const parts = [make("dl", {}, fact("kept", told.settled.keep), fact("dropped", told.settled.drop), fact("unsure", told.settled.unsure), fact("disputed", told.disputed))];
    parts.push(make("section", {}, make("h2", {}, "The filter's own error, from blind clips"),
      rate("Kept by the rules, dropped by people", told.error.kept, "were dropped"), rate("Dropped by the rules, kept by people", told.error.dropped, "were kept")));
    const lines = told.agreements.map((a) => make("p", {}, make("bdi", {}, a.reviewers.join(" and ")),
      `: ${plural(a.num_clips, "clip")}, ${percent(a.observed)} the same, `,
      a.kappa === null ? "kappa is not defined: both always said the same" : `kappa ${a.kappa.toFixed(2)} (95 % interval ${a.ci95[0].toFixed(2)} to ${a.ci95[1].toFixed(2)})`));
    parts.push(make("section", {}, make("h2", {}, "Two reviewers (Cohen's kappa)"), ...(lines.length ? lines : [make("p", { className: "small" }, "No clip has been decided by two reviewers yet.")])));
    if (told.changed) parts.push(make("p", { className: "problems" }, `${plural(told.changed, "decided clip")} measured or cut otherwise now than at the decision.`));
    if (told.problems.length) parts.push(make("details", { className: "problems" }, make("summary", {}, `${plural(told.problems.length, "line")} of the log could not be read`), ...told.problems.slice(0, 50).map((text) => make("p", {}, make("bdi", {}, text)))));
    parts.push(make("p", {}, "Apply: ", make("code", {}, told.command)));
    place.replaceChildren(...parts);
  }

  function openSummary() {
    $("summary").showModal();
    summarise(document.querySelector("#summary .summary"));
  }

  // -- keys, buttons
  const KEYS = {
    k: () => decide("keep"), d: () => decide("drop"), u: () => decide("unsure"), z: undo, " ": toggle, home: () => seek(0), m: mute, b: border, g: toggleOther,
    s: openSummary, c: goOn, "?": () => $("help").showModal(), escape: () => askWhy(false),
    arrowleft: (event) => seek(position() - (event.shiftKey ? 5 : 1)), arrowright: (event) => seek(position() + (event.shiftKey ? 5 : 1)),
  };
  const AT_WORK = new Set(["k", "d", "u", " ", "home", "m", "b", "g", "arrowleft", "arrowright"]);
  const REPEATED = new Set(["arrowleft", "arrowright"]);

  addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if ((key === " " || key === "enter") && event.target.closest?.("button, a, summary")) return;
    if (event.repeat && !REPEATED.has(key)) return;
    if (/^[1-6]$/.test(key) && item) choose(REASONS[key - 1]);
    else if (KEYS[key] && (item || !AT_WORK.has(key))) KEYS[key](event);
    else return;
    event.preventDefault();
  });

  for (const button of document.querySelectorAll("[data-verdict]")) button.addEventListener("click", () => decide(button.dataset.verdict));
  for (const button of document.querySelectorAll("[data-reason]")) button.addEventListener("click", () => choose(button.dataset.reason));
  const CLICKS = { undo, play: toggle, start: play, mute, border, "go-on": goOn, "open-summary": openSummary, "open-help": KEYS["?"] };
  for (const [id, act] of Object.entries(CLICKS)) $(id).addEventListener("click", () => { act(); });

  const jump = (event) => {
    const place = $("timeline").getBoundingClientRect();
    seek(((event.clientX - place.left) / place.width) * length());
  };
  $("timeline").addEventListener("pointerdown", (event) => {
    $("timeline").setPointerCapture(event.pointerId);
    jump(event);
  });
  $("timeline").addEventListener("pointermove", (event) => { if (event.buttons & 1) jump(event); });

  refresh();
  requestAnimationFrame(follow);
})();
