/** From nothing to the first answer: `node first-answer-worker.ts URL FACE`; without a face, one client of pg. Writes one line of JSON. */
import { once } from "node:events";
import process from "node:process";

export interface FirstAnswer {
	/** Milliseconds from the start of the process, Node's own included ... */
	readonly sinceStart: number;
	/** ... and from the first import. */
	readonly sinceImport: number;
}

const importing = performance.now();
const [url = "", name = ""] = process.argv.slice(2);
await ask();
const answered = performance.now();
const answer: FirstAnswer = { sinceStart: answered, sinceImport: answered - importing };
if (!process.stdout.write(`${JSON.stringify(answer)}\n`)) await once(process.stdout, "drain");
process.exit();

async function ask(): Promise<void> {
	if (name !== "") {
		const { openFace } = await import("./faces.ts");
		const face = await openFace(name, url, 10);
		await face.ask["select 1"](1);
		return;
	}
	const { default: pg } = await import("pg");
	const client = new pg.Client(url);
	await client.connect();
	await client.query("select 1 as one");
}
