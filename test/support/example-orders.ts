import { ask } from "../faces/postgres-view.ts";
import { postgresUrl } from "./server-urls.ts";

/** What the examples have committed. */
export interface Orders {
	readonly count: number;
	/** Processes or threads that have had one at least. */
	readonly workers: number;
}

/** Has the table of the examples empty before each test; the function looks into it. */
export function useOrders(): () => Promise<Orders> {
	beforeEach(async () => {
		await ask(url(), "create table if not exists example_orders (id text primary key, worker int not null)");
		await ask(url(), "truncate example_orders");
	});
	return async () => {
		const [row] = await ask<Orders>(
			url(),
			"select count(*)::int as count, count(distinct worker)::int as workers from example_orders",
		);
		return row as Orders;
	};
}

function url(): string {
	return postgresUrl("TCP") ?? "";
}
