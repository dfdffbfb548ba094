/** Whatever is asked in whatever order: with prepared statements the answers are those without. */
import { expect } from "chai";
import fc from "fast-check";
import type { Client } from "../src/index.ts";
import { textsOn } from "./support/prepared.ts";
import { openClient } from "./support/set-up.ts";

const CREATE = "create temp table things (n int, word text); insert into things values (1, 'one'), (2, 'two')";
const LOOP = {
	toPostgres: () => {
		throw new Error("cannot be sent");
	},
};
/** One step of a session. `$` is another number each time. */
const steps: Record<string, [text: string, values?: unknown[]]> = {
	all: ["select * from things where n >= $1 order by n", ["$"]],
	"all, without values": ["select * from things order by n"],
	words: ["select word from things where n = $1", ["$"]],
	sum: ["select sum(n) + $1 as sum from things", ["$"]],
	insert: ["insert into things (n) values ($1) returning *", ["$"]],
	update: ["update things set n = n + 1 where n = $1", ["$"]],
	"fails when it runs": ["select 1 / ($1::int - $1) as n", ["$"]],
	"fails when it is parsed": ["select wrong from things where n = $1", ["$"]],
	"cannot be sent": ["select $1::text as word", [LOOP]],
	"can be sent": ["select $1::text as word", ["$"]],
	"add a column": ["alter table things add column if not exists more int default 7"],
	"drop a column": ["alter table things drop column if exists more"],
	"change a type": ["alter table things alter column n type bigint"],
	"change it back": ["alter table things alter column n type int"],
	begin: ["begin"],
	commit: ["commit"],
	rollback: ["rollback"],
	"deallocate all": ["deallocate all"],
	"deallocate all, by a function": ["do $do$ begin execute 'deallocate all'; end $do$"],
	"discard plans": ["discard plans"],
	"discard all": ["discard all"],
	create: [`drop table if exists things; ${CREATE}`],
};
const names = Object.keys(steps);
const STALE = /^(26000|0A000)$/;

describe("prepare", () => {
	let prepared: Client;
	let plain: Client;

	async function both(text: string, values?: unknown[]): Promise<[unknown, unknown]> {
		const [one, other] = await Promise.all([answer(prepared, text, values), answer(plain, text, values)]);
		return [one, other];
	}

	it("changes no answer", async function () {
		this.timeout(120_000);
		prepared = await openClient({ prepare: { max: 3, minUses: 2 } });
		plain = await openClient();
		const step = fc.record({
			name: fc.constantFrom(...names),
			times: fc.integer({ min: 1, max: 3 }),
			number: fc.nat({ max: 3 }),
		});
		await fc.assert(
			fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (sequence) => {
				for (const text of ["rollback", "discard all", CREATE]) await both(text);
				for (const { name, times, number } of sequence) {
					const [text, given] = steps[name] as [string, unknown[]?];
					const values = given?.map((value) => (value === "$" ? number : value));
					for (let time = 0; time < times; time++) {
						const isInTransaction = prepared["_txStatus" as keyof Client] === "T";
						const [is, was] = await both(text, values);
						if (isInTransaction && STALE.test(String((is as { code?: string }).code))) {
							// As documented. What the other session has is not undone by this.
							await both("rollback");
							break;
						}
						expect(is, name).to.deep.equal(was);
					}
				}
				await both("rollback");
				expect(await textsOn(prepared)).to.have.lengthOf.at.most(3);
			}),
			{ numRuns: 150, examples: [[inAFailedTransaction]] },
		);
	});
});

/** A statement that is missed, where the transaction has failed for another reason. */
const inAFailedTransaction = [
	{ name: "begin", times: 1, number: 0 },
	{ name: "words", times: 3, number: 0 },
	{ name: "deallocate all, by a function", times: 1, number: 0 },
	{ name: "fails when it is parsed", times: 1, number: 0 },
	{ name: "words", times: 1, number: 0 },
];

async function answer(client: Client, text: string, values?: unknown[]): Promise<object> {
	try {
		const { command, rowCount, rows, fields } = await client.query(text, values);
		return { command, rowCount, rows, columns: fields?.map(({ name, dataTypeID }) => [name, dataTypeID]) };
	} catch (error) {
		const { code, message } = error as Error & { code?: string };
		return { code, message: message.replace(/"fs_\w+"/, '""') };
	}
}
