import type { BrowserContext, Page } from "playwright-core";

/** What a page was found to be. */
interface Visited {
	/** Absolute, with their hashes, without the query. */
	readonly links: readonly string[];
	readonly ids: ReadonlySet<string>;
}

/** So many pages are open at a time. */
const PAGES_AT_A_TIME = 4;

/**
 * Visits every page of the site that is linked from another one.
 *
 * @returns how many there are, and a line for everything that is wrong: broken links and anchors, errors on the console, requests
 * that fail or leave the site
 */
export async function crawl(context: BrowserContext, origin: string): Promise<{ pages: number; problems: string[] }> {
	const problems: string[] = [];
	const visited = new Map<string, Visited | undefined>();
	const found = new Set([`${origin}/`]);
	const queue = [...found];

	const work = async (): Promise<void> => {
		const page = await context.newPage();
		let url = "";
		watch(page, origin, (problem) => problems.push(`${url.slice(origin.length)}: ${problem}`));
		for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
			url = next;
			const result = await visit(page, url);
			visited.set(url, result);
			for (const link of result?.links ?? []) {
				const [target = ""] = link.split("#");
				if (!target.startsWith(`${origin}/`) || found.has(target)) continue;
				found.add(target);
				queue.push(target);
			}
		}
		await page.close();
	};
	// Whoever finds the queue empty stops, while others may fill it again.
	while (queue.length > 0) await Promise.all(Array.from({ length: Math.min(PAGES_AT_A_TIME, queue.length) }, work));

	for (const [url, { links } = { links: [] }] of visited) {
		for (const link of links) {
			const [target = "", hash] = link.split("#");
			if (!visited.has(target)) continue;
			const there = visited.get(target);
			const isFound = there !== undefined && (hash === undefined || hash === "" || there.ids.has(decodeURIComponent(hash)));
			if (!isFound) problems.push(`${url.slice(origin.length)}: broken link to ${link.slice(origin.length)}`);
		}
	}
	return { pages: visited.size, problems };
}

/** @returns undefined for a page that there is not */
async function visit(page: Page, url: string): Promise<Visited | undefined> {
	const response = await page.goto(url, { timeout: 60_000 });
	if (response?.status() !== 200) return undefined;
	await hydrated(page);
	return {
		links: await page.locator("a[href]").evaluateAll((all) => all.map((a) => (a as unknown as { href: string }).href)),
		ids: new Set(await page.locator("[id]").evaluateAll((all) => all.map((element) => element.id))),
	};
}

/** When the page has come to life: until then, it is what was rendered at build time. */
export async function hydrated(page: Page): Promise<void> {
	// Pages in the background draw no frames, which is what it waits for otherwise.
	await page.waitForFunction('"__vue_app__" in (document.querySelector("#app") ?? {})', undefined, { polling: 50 });
}

function watch(page: Page, origin: string, onProblem: (problem: string) => void): void {
	page.on("console", (message) => {
		if (message.type() === "error" || message.type() === "warning") onProblem(`on the console: ${message.text()}`);
	});
	page.on("pageerror", (error) => onProblem(`error: ${error.message}`));
	page.on("requestfailed", (request) => onProblem(`failed: ${request.url()} (${request.failure()?.errorText})`));
	page.on("request", (request) => {
		const url = request.url();
		if (!url.startsWith(origin) && !url.startsWith("data:")) onProblem(`asked another server: ${url}`);
	});
	page.on("response", (response) => {
		if (response.status() >= 400) onProblem(`${response.status()}: ${response.url()}`);
	});
}
