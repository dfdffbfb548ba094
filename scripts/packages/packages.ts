/**
 * The packages as they would be published: `packages.ts`. Packs them; has publint, attw and API Extractor look at them; reviews what is
 * in them; prints how much an application installs; installs them into fresh projects, from the registry, and runs the README's blocks
 * there; reads the workflows that would publish them. The exit code is 1 when anything is not right.
 */
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { contentsComplaints } from "../../test/support/packed-contents.ts";
import { layOut, pack, root, run, tarballOf } from "../../test/support/packed-packages.ts";
import { startPostgres } from "../../test/support/postgres.ts";
import { blocksOf } from "../../test/support/readme-blocks.ts";
import { commandLine } from "../command-line.ts";
import { table } from "../demo/table.ts";
import { apiReports } from "./api-report.ts";
import { FreshProject, languages, managers } from "./fresh-project.ts";
import { installSize } from "./install-size.ts";
import { workflowComplaints } from "./workflows.ts";
import { type WorkspacePackage, workspacePackages } from "./workspace-package.ts";

/** What the blocks of the README that are tried import, one each at least. */
const TRIED = ["@forksafe/pg", "@forksafe/knex", "@forksafe/kysely"];

commandLine({});
const packages = workspacePackages();
const directory = mkdtempSync(join(tmpdir(), "forksafe-packages-"));
process.on("exit", () => rmSync(directory, { recursive: true }));
const tarballs = join(directory, "tarballs");
let failed = 0;

await step("packed, licence, README and sources in each, and no test", async () => {
	await pack(tarballs);
	await layOut(tarballs, directory, {});
	return packages.flatMap(({ name, manifest }) => contentsComplaints(name, join(directory, "node_modules", manifest.name)));
});
await step("publint", async () => (await Promise.all(packages.map(publintComplaints))).flat());
await step("attw --profile esm-only", async () => (await Promise.all(packages.map(attwComplaints))).flat());
await step("API reports are up to date", () => packages.flatMap((each) => apiReports(each, "compare")));
await step("the workflows can be read, and run what there is", workflowComplaints);
await step("core has no dependency", sizeComplaints);
await step(`${languages.join(", ")}, installed by ${managers.join(" and ")}, run the README`, freshProjectComplaints);
process.exitCode = failed === 0 ? 0 : 1;

async function step(title: string, complaints: () => string[] | Promise<string[]>): Promise<void> {
	const from = performance.now();
	const found = await Promise.resolve()
		.then(complaints)
		.catch((error: unknown) => [String(error)]);
	if (found.length > 0) failed++;
	console.log(`${found.length === 0 ? "right" : "NOT RIGHT"}: ${title} (${((performance.now() - from) / 1_000).toFixed(0)} s)`);
	for (const complaint of found) console.log(`  ${complaint}`);
}

async function publintComplaints({ name, manifest }: WorkspacePackage): Promise<string[]> {
	const tarball = new Uint8Array(readFileSync(tarballOf(tarballs, name))).buffer;
	const { messages } = await publint({ pack: { tarball }, strict: true });
	return messages.map((message) => `${name}: ${formatMessage(message, manifest, { color: false })}`);
}

async function attwComplaints({ name }: WorkspacePackage): Promise<string[]> {
	const args = ["--profile", "esm-only", "--format", "ascii", "--no-color", "--no-emoji", tarballOf(tarballs, name)];
	return run("attw", args).then(
		() => [],
		(error: unknown) => [`${name}: ${String(error)}`],
	);
}

function sizeComplaints(): string[] {
	const sizes = packages.map((each) => ({ ...each, ...installSize(each, join(directory, "node_modules")) }));
	const columns = [
		{ title: "package", align: "left" },
		{ title: "version" },
		{ title: "packed kB" },
		{ title: "unpacked kB" },
		{ title: "dependencies" },
		{ title: "with them kB" },
	] as const;
	const kilobytes = (bytes: number): string => (bytes / 1_000).toFixed(0);
	const rows = sizes.map(({ name, manifest, ownBytes, dependencies, totalBytes }) => [
		manifest.name,
		manifest.version,
		kilobytes(statSync(tarballOf(tarballs, name)).size),
		kilobytes(ownBytes),
		String(dependencies),
		kilobytes(totalBytes),
	]);
	console.log(`\n${table(columns, rows)}\n`);
	return sizes
		.filter(({ name, dependencies }) => name === "core" && dependencies !== 0)
		.map(({ dependencies }) => `core has ${dependencies}`);
}

async function freshProjectComplaints(): Promise<string[]> {
	const blocks = blocksOf(readFileSync(join(root, "README.md"), "utf8"), "ts").filter(
		(block) => TRIED.some((name) => imports(block, name)) && !/fork\(\)|MYSQL_URL/.test(block),
	);
	const untried = TRIED.filter((name) => !blocks.some((block) => imports(block, name)));
	if (untried.length > 0) return untried.map((name) => `README.md has no block of TypeScript that imports ${name}`);
	const server = await startPostgres({ tls: false, unixSocket: false });
	try {
		const lanes = managers.map(async (manager) => {
			const complaints: string[] = [];
			for (const language of languages) {
				const project = new FreshProject(directory, manager, language);
				await project.install(tarballs);
				complaints.push(...(await project.runBlocks(blocks, server.url)));
			}
			return complaints;
		});
		return (await Promise.all(lanes)).flat();
	} finally {
		await server.stop();
	}
}

function imports(block: string, name: string): boolean {
	return block.includes(`from "${name}"`);
}
