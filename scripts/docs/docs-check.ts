/**
 * `npx -y pnpm@12 docs-check` looks at the built site in headless Chromium: every page, every link, the search; and takes pictures of
 * some. Debian has it as the package "chromium"; `CHROMIUM` names another one.
 */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, chromium } from "playwright-core";
import { exitOnSignals } from "../command-line.ts";
import { crawl, hydrated } from "./crawl.ts";
import { serve } from "./static-server.ts";

const site = fileURLToPath(new URL("../../docs/.vitepress/dist/", import.meta.url));
const pictures = fileURLToPath(new URL("../../docs/.vitepress/pictures/", import.meta.url));
/** What is asked of the search, and the page that has to be among its answers. */
const SEARCHES = [
	["transaction-pooler", "/pgbouncer.html"],
	["too many clients", "/faq.html"],
	["ERR_FORKSAFE_INHERITED", "/errors.html"],
	["MADV_WIPEONFORK", "/packages/sentinel.html"],
] as const;
const PICTURED = ["/", "/faq.html", "/contract.html", "/options.html", "/api/@forksafe/core/classes/Pool.html"];
/** Whether something is cut off: what is wider than the window has to scroll by itself. The bar at the top is fixed, and never scrolls. */
const STICKS_OUT = `document.documentElement.scrollWidth > innerWidth ||
	[...document.querySelectorAll("header.VPNav *")].some((element) => element.getBoundingClientRect().right > innerWidth + 1)`;
const FLAGS = [
	"--disable-gpu",
	"--disable-quic",
	"--no-first-run",
	"--disable-background-networking",
	"--disable-component-update",
	"--disable-sync",
];

exitOnSignals();
if (!existsSync(site)) throw new Error("the site is not built: run npx -y pnpm@12 docs-build first");
const server = await serve(site);
const browser = await chromium.launch({
	executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
	// Chromium's sandbox refuses root, as whom CI runs. What it is shown here was just built.
	chromiumSandbox: process.getuid?.() !== 0,
	args: FLAGS,
});
try {
	const context = await browser.newContext();
	const { pages, problems } = await crawl(context, server.url);
	problems.push(...(await search(context)));
	problems.push(...(await takePictures(browser)));
	for (const problem of problems) console.error(problem);
	console.log(`${pages} pages and ${SEARCHES.length} searches looked at: ${problems.length} problems; pictures in ${pictures}`);
	process.exitCode = problems.length === 0 && pages > 100 ? 0 : 1;
} finally {
	await browser.close();
	server.close();
}

async function search(context: BrowserContext): Promise<string[]> {
	const page = await context.newPage();
	const problems: string[] = [];
	for (const [words, expected] of SEARCHES) {
		await page.goto(`${server.url}/`);
		await hydrated(page);
		await page.locator("button.DocSearch-Button").first().click();
		await page.locator("input.search-input").fill(words);
		const answer = page.locator(`.VPLocalSearchBox .results a[href^="${expected}"]`).first();
		const isFound = await answer.waitFor({ timeout: 15_000 }).then(
			() => true,
			() => false,
		);
		if (!isFound) problems.push(`the search for "${words}" does not find ${expected}`);
	}
	await page.close();
	return problems;
}

async function takePictures(by: Browser): Promise<string[]> {
	const problems: string[] = [];
	rmSync(pictures, { recursive: true, force: true });
	mkdirSync(pictures, { recursive: true });
	for (const colorScheme of ["light", "dark"] as const) {
		for (const [width, viewport] of Object.entries({
			wide: { width: 1_440, height: 1_000 },
			phone: { width: 390, height: 844 },
		})) {
			const context = await by.newContext({ colorScheme, viewport });
			const page = await context.newPage();
			for (const path of PICTURED) {
				await page.goto(`${server.url}${path}`);
				await hydrated(page);
				const name = path === "/" ? "front" : path.replace(/^.*\/|\.html$/g, "");
				await page.screenshot({ path: `${pictures}${name}-${width}-${colorScheme}.png` });
				if (await page.evaluate<boolean>(STICKS_OUT)) problems.push(`${path} is wider than a window of ${viewport.width}`);
			}
			await context.close();
		}
	}
	return problems;
}
