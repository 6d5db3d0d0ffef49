// Looks at pages with Lighthouse, on its simulated phone: `node look.mjs CHROMIUM COOKIE URL …`; one JSON line each.
import { launch } from "chrome-launcher";
import lighthouse from "lighthouse";

const [chromePath, cookie, ...addresses] = process.argv.slice(2);
const chrome = await launch({ chromePath, chromeFlags: ["--headless=new", "--no-sandbox", "--disable-gpu"] });
for (const address of addresses) {
  const { lhr } = await lighthouse(address, {
    port: chrome.port,
    output: "json",
    logLevel: "error",
    extraHeaders: { Cookie: cookie },
    onlyCategories: ["performance", "accessibility", "best-practices", "seo"],
  });
  const scores = Object.fromEntries(Object.entries(lhr.categories).map(([id, each]) => [id, Math.round(each.score * 100)]));
  const wrong = Object.values(lhr.audits)
    .filter((each) => each.score !== null && each.score < 0.9 && each.scoreDisplayMode !== "informative")
    .map((each) => each.id);
  console.log(JSON.stringify({ address, scores, wrong }));
}
await chrome.kill();
