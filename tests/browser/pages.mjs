// The server's pages in a real Chromium: node pages.mjs WEB URL PICTURES OUT
// WEB has node_modules, PICTURES is a folder of files to rank, OUT takes screenshots and votes.json (what was voted, for the
// caller to find in the database). Ends with 0 and "passed N", or 1 and what was wrong.
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [web, url, pictures, out] = process.argv.slice(2);
const require = createRequire(join(web, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const votes = [];
let passed = 0;

/** A person of their own, whose page may ask nothing of another host and log no error. */
async function person(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 850 }, ...options });
  const page = await context.newPage();
  page.trouble = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !/^(data|blob):/.test(request.url())) page.trouble.push(`asks ${request.url()}`);
  });
  page.on("pageerror", (error) => page.trouble.push(String(error)));
  page.on("console", (message) => {
    // A status of 4xx is logged too, and tests cause some.
    if (message.type() === "error" && !/status of 4\d\d/.test(message.text())) page.trouble.push(message.text());
  });
  page.on("request", (request) => {
    if (request.method() === "POST" && request.url().endsWith("/v1/votes")) page.lastVote = JSON.parse(request.postData());
  });
  return page;
}

async function check(name, page, test) {
  try {
    await test();
    assert.deepEqual(page.trouble, []);
    ++passed;
  } catch (error) {
    console.error(`${name}: ${error.stack ?? error}`);
    await page.screenshot({ path: join(out, "failed.png"), fullPage: true }).catch(() => {});
    await browser.close();
    process.exit(1);
  }
}

async function accessible(page, where) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }));
  assert.deepEqual(found.violations.map((each) => `${where}: ${each.id}: ${each.nodes.map((node) => node.html).join(" ")}`), []);
  assert.ok(found.passes.length > 5, "axe looked at something");
}

const shot = (page, name) => page.screenshot({ path: join(out, `${name}.png`), fullPage: true });

async function drop(page) {
  const files = readdirSync(pictures).sort().map((name) => ({ name, bytes: readFileSync(join(pictures, name)).toString("base64") }));
  const data = await page.evaluateHandle((list) => {
    const transfer = new DataTransfer();
    for (const { name, bytes } of list) {
      transfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name, { type: "image/png" }));
    }
    return transfer;
  }, files);
  await page.dispatchEvent(".drop", "drop", { dataTransfer: data });
  return files.length;
}

/** Waits until a function is true in the page, by asking again: the page's policy allows it no eval of its own. */
async function until(page, isTrue, argument) {
  for (const end = Date.now() + 30000; !(await page.evaluate(isTrue, argument)); ) {
    assert.ok(Date.now() < end, `waited for ${isTrue}`);
    await page.waitForTimeout(20);
  }
}

/** Fits a phone: nothing to scroll sideways. */
const fits = async (page) => assert.ok((await page.evaluate(() => document.scrollingElement.scrollWidth)) <= (await page.viewportSize()).width);

async function begin(page, name) {
  await page.goto(`${url}/choose`);
  await page.getByLabel(/A name/).fill(name);
  assert.match(await page.getByRole("region", { name: "Guideline" }).textContent(), /<b>fair<\/b>/, "a guideline is text");
  assert.ok(await page.getByRole("button", { name: "Start" }).isDisabled(), "nothing starts without consent");
  await page.getByLabel(/agree/).check();
  await page.getByRole("button", { name: "Start" }).click();
  await page.locator(".choice").first().waitFor();
}
const said = (page, text) => page.getByRole("status").filter({ hasText: text }).waitFor();
/** After a vote the next set stands there. */
async function voting(page, act, text) {
  await until(page, () => document.querySelector(".choices")?.getAttribute("aria-busy") === "false");
  await act();
  await said(page, text);
  await until(page, () => document.querySelector(".choices")?.getAttribute("aria-busy") === "false");
  return page.lastVote;
}

const ada = await person();
await check("drop and rank", ada, async () => {
  await ada.goto(`${url}/`);
  assert.ok(await ada.getByRole("button", { name: "Rank", exact: true }).isDisabled());
  await ada.getByLabel("Prompt").fill("a red car <script>window.hacked = 1</script>");
  const count = await drop(ada);
  assert.equal(await ada.locator(".thumbs li").count(), count);
  for (const box of await ada.locator("fieldset input").all()) await box.check();
  await ada.getByRole("button", { name: "Rank", exact: true }).click();
  await ada.locator(".ranked").first().waitFor();
  assert.equal(await ada.locator(".columns section").count(), 2, "two rewards side by side");
  for (const list of await ada.locator(".ranked").all()) {
    assert.equal(await list.locator("li").count(), count);
    const scores = (await list.locator("b").allTextContents()).map(Number);
    assert.equal(scores.length, count - 1);
    assert.deepEqual(scores, [...scores].sort((a, b) => b - a), "best first");
    assert.match(await list.locator("li.failed").textContent(), /broken\.png.*not scored/);
  }
  assert.equal(await ada.evaluate(() => window.hacked), undefined);
  await accessible(ada, "rank");
  await shot(ada, "rank-light");
});

await check("a long prompt is marked as cut", ada, async () => {
  await ada.getByLabel("Prompt").fill("a red car ".repeat(200));
  await ada.getByRole("button", { name: "Rank", exact: true }).click();
  await ada.locator(".badge", { hasText: "cut" }).first().waitFor();
});

await check("an error is shown", ada, async () => {
  await ada.getByLabel("Prompt").fill("x".repeat(70000));
  await ada.getByRole("button", { name: "Rank", exact: true }).click();
  const alert = ada.getByRole("alert");
  await alert.waitFor();
  assert.match(await alert.textContent(), /prompt: expected at most 65536 bytes, found 70000/);
  await accessible(ada, "error");
  await shot(ada, "error-light");
});

await check("choose with keys", ada, async () => {
  await ada.goto(`${url}/choose`);
  await ada.getByRole("button", { name: "Start" }).waitFor();
  await accessible(ada, "consent");
  await shot(ada, "consent-light");
  await begin(ada, "Ada");
  await accessible(ada, "choose");
  await shot(ada, "choose-light");
  const second = await ada.locator(".choice img").nth(1).getAttribute("src");
  const vote = await voting(ada, () => ada.keyboard.press("2"), "1 vote");
  assert.equal(`/v1/images/${encodeURIComponent(vote.choice)}`, second);
  assert.ok(vote.ms >= 0 && vote.ms < 60000);
  votes.push(vote);
  votes.push(await voting(ada, () => ada.keyboard.press("0"), "2 votes, 1 without preference"));
  votes.push(await voting(ada, () => ada.keyboard.press("s"), "1 skipped"));
  const undone = await voting(ada, () => ada.keyboard.press("1"), "3 votes");
  await ada.keyboard.press("u");
  await said(ada, "2 votes");
  const again = await voting(ada, () => ada.keyboard.press(" "), "3 votes, 2 without preference");
  assert.equal(again.set, undone.set, "the undone set comes again");
  votes.push(again);
  await ada.reload();
  await said(ada, "3 votes");  // the session goes on
});

await check("a prompt is text", ada, async () => {
  for (let i = 0; i < 60 && !(await ada.locator("h1.prompt").textContent()).includes("<img"); ++i) {
    const before = await ada.getByRole("status").textContent();
    await ada.keyboard.press("s");
    await until(ada, (text) => document.querySelector("[role=status]")?.textContent !== text, before);
    votes.push(ada.lastVote);
  }
  assert.match(await ada.locator("h1.prompt").textContent(), /<img src=x onerror=/);
  assert.equal(await ada.locator("h1.prompt img").count(), 0);
  assert.equal(await ada.evaluate(() => window.hacked), undefined);
});

const bob = await person({ viewport: { width: 400, height: 800 }, hasTouch: true, isMobile: true, colorScheme: "dark" });
await check("two people at once, one on a phone", bob, async () => {
  await begin(bob, "Bob");
  await fits(bob);
  await shot(bob, "choose-phone-dark");
  for (let i = 0; i < 3; ++i) {
    const both = await Promise.all([
      voting(bob, () => bob.locator(".choice").first().tap(), `${i + 1} vote`),
      voting(ada, () => ada.keyboard.press("1"), `${4 + i} votes`),
    ]);
    assert.notEqual(both[0].set, both[1].set);
    votes.push(...both);
  }
  await accessible(bob, "phone");
});

await check("four at once", bob, async () => {
  await bob.getByRole("button", { name: "Stop" }).click();
  await bob.getByLabel("4", { exact: true }).check();
  await bob.getByLabel(/agree/).check();
  await bob.getByRole("button", { name: "Start" }).click();
  await bob.locator(".choices.of4").waitFor();
  assert.equal(await bob.locator(".choice").count(), 4);
  await fits(bob);
  await shot(bob, "choose-four-phone-dark");
  votes.push(await voting(bob, () => bob.keyboard.press("4"), "1 vote"));
});

for (const colorScheme of ["light", "dark"]) {
  const page = await person({ colorScheme });
  await check(`every page in ${colorScheme}`, page, async () => {
    for (const [path, wait] of [["rank", ".drop"], ["choose", ".start"], ["watch", ".cards"], ["reports", ".reports li"]]) {
      await page.setViewportSize({ width: 1200, height: 850 });
      await page.goto(`${url}/${path}`);
      await page.locator(wait).first().waitFor();
      await accessible(page, `${path} ${colorScheme}`);
      await shot(page, `${path}-page-${colorScheme}`);
      await page.setViewportSize({ width: 400, height: 800 });
      await fits(page);
      await shot(page, `${path}-phone-${colorScheme}`);
    }
    await page.goto(`${url}/rank`);
    await page.getByLabel("Prompt").fill("a red car in the rain");
    await drop(page);
    await page.getByRole("button", { name: "Rank", exact: true }).click();
    await page.locator(".ranked").first().waitFor();
    await fits(page);
    await accessible(page, `ranked ${colorScheme}`);
    await shot(page, `ranked-phone-${colorScheme}`);
  });
}

const eve = await person();
await check("watch and reports", eve, async () => {
  await eve.goto(`${url}/watch`);
  await eve.getByText(/votes by 3 people/).waitFor();
  await eve.getByLabel("Intervals wanted").selectOption("0.1");
  await eve.getByText(/more until ±\s10\spoints/).first().waitFor();
  await eve.getByRole("link", { name: "Reports" }).click();
  await eve.getByRole("link", { name: "mlp" }).click();
  await eve.waitForURL(/\/reports\/mlp$/);
  await eve.getByRole("heading", { level: 1 }).waitFor();
  assert.ok((await eve.locator("svg").count()) > 0, "the report's charts are drawn");
  await shot(eve, "report");
});

await check("another site cannot vote", eve, async () => {
  const other = await person();
  await other.goto("about:blank");
  const status = await other.evaluate(async (to) => {
    const form = document.createElement("form");
    form.method = "post";
    form.action = `${to}/v1/sessions`;
    form.enctype = "text/plain";
    document.body.append(form);
    form.submit();
    await new Promise((resolve) => setTimeout(resolve, 0));
    return null;
  }, url).catch(() => null);
  assert.equal(status, null);
  await other.waitForURL(/sessions/);
  assert.match(await other.content(), /"error"/);
});

writeFileSync(join(out, "votes.json"), JSON.stringify(votes));
await browser.close();
console.log(`passed ${passed}`);
