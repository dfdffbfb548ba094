/** A server of fastify whose routes ask through `@fastify/postgres`. */
import postgres from "@fastify/postgres";
import { ForkSafeError } from "@forksafe/core";
import Fastify from "fastify";
import pg from "pg";
import type { Work } from "../../../support/consumer.ts";
import { runConsumer } from "../../../support/consumer-program.ts";
import { sqlWork } from "../support/sql-work.ts";

await runConsumer({
	async open({ Pool, options }) {
		/** The plugin hands its own option on to the Pool, and ours refuses what it does not know. */
		class PluginPool extends Pool {
			constructor(config: postgres.PostgresPluginOptions) {
				delete config.pg;
				super(config);
			}
		}
		const server = Fastify();
		await server.register(postgres, { pg: { ...pg, native: pg.native, Pool: PluginPool }, ...options });
		server.pg.pool.on("error", () => {});
		const direct = sqlWork(server.pg);

		server.get("/echo/:text", async ({ params }) => ({ answer: await direct.echo(textOf(params)) }));
		server.get("/has/:text", async ({ params }) => ({ answer: await direct.has(textOf(params)) }));
		server.post("/traces/:text", { pg: { transact: true } }, async ({ params, pg: client }) => {
			if (!client) throw new Error("no client for this request");
			await sqlWork(client).insert(textOf(params));
			return {};
		});
		server.get("/sleep/:text", async ({ params }) => ({ answer: await direct.sleep(Number(textOf(params))) }));
		server.setErrorHandler((error: Error, _request, reply) =>
			reply.code(500).send({ name: error.constructor.name, code: error instanceof ForkSafeError ? error.code : "" }),
		);

		const request = async (method: "GET" | "POST", path: string, text: string): Promise<unknown> => {
			const response = await server.inject({ method, url: `/${path}/${encodeURIComponent(text)}` });
			const said = response.json<{ answer?: unknown; name?: string; code?: string }>();
			if (response.statusCode !== 200) throw Object.assign(new Error(said.name), { code: `${response.statusCode} ${said.code}` });
			return said.answer;
		};
		const inRequests: Work = {
			echo: async (text) => String(await request("GET", "echo", text)),
			insert: async (key) => void (await request("POST", "traces", key)),
			has: async (key) => (await request("GET", "has", key)) === true,
		};
		return {
			...inRequests,
			pool: server.pg.pool,
			backend: direct.backend,
			sleep: async (millis) => void (await request("GET", "sleep", String(millis))),
			transaction: (body) => server.pg.transact((client) => body(sqlWork(client))),
			end: () => server.close(),
		};
	},
});

function textOf(params: unknown): string {
	return (params as { text: string }).text;
}
