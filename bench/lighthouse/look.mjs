// Looks at pages with Lighthouse, on its simulated phone: `node look.mjs CHROMIUM SESSION URL …`; one JSON line each.
import lighthouse from "lighthouse";
import puppeteer from "puppeteer-core";

const [executablePath, session, ...addresses] = process.argv.slice(2);
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
for (const address of addresses) {
  const page = await browser.newPage();
  const { host, origin } = new URL(address);
  for (const [name, value] of [["hub_session", session], ["hub_zone", "UTC"]]) {
    await browser.setCookie({ name, value, domain: host.split(":")[0], path: "/", httpOnly: name === "hub_session" });
  }
  const flags = {
    output: "json",
    logLevel: "error",
    // The session is kept; what was loaded before is not.
    disableStorageReset: true,
    onlyCategories: ["performance", "accessibility", "best-practices", "seo"],
  };
  const client = await page.createCDPSession();
  await client.send("Network.clearBrowserCache");
  await client.send("Storage.clearDataForOrigin", { origin, storageTypes: "local_storage" });
  const { lhr } = await lighthouse(address, flags, undefined, page);
  const scores = Object.fromEntries(Object.entries(lhr.categories).map(([id, each]) => [id, Math.round(each.score * 100)]));
  const wrong = Object.values(lhr.audits)
    .filter((each) => each.score !== null && each.score < 0.9 && each.scoreDisplayMode !== "informative")
    .map((each) => each.id);
  console.log(JSON.stringify({ address: lhr.finalDisplayedUrl, scores, wrong, error: lhr.runtimeError?.message }));
  await page.close();
}
await browser.close();
