/** What a preset is for is shown behind a PgBouncer: test/integration/pgbouncer-preset.test.ts. */
import { OptionError } from "@forksafe/core";
import { expect } from "chai";
import { thrown } from "../../../test/support/promises.ts";
import { Pool, type PoolConfig } from "../src/index.ts";

const preset = "transaction-pooler";

describe("preset", () => {
	function resolved(config: PoolConfig): Record<string, unknown> {
		const pool = new Pool(config);
		const { validateAfterIdleMillis, idleTimeoutMillis, maxLifetimeMillis } = pool["core"].options;
		return { validateAfterIdleMillis, idleTimeoutMillis, maxLifetimeMillis };
	}

	it("has other defaults", () => {
		expect(resolved({})).to.deep.equal({ validateAfterIdleMillis: 1_000, idleTimeoutMillis: 10_000, maxLifetimeMillis: 0 });
		expect(resolved({ preset })).to.deep.equal({
			validateAfterIdleMillis: 0,
			idleTimeoutMillis: 300_000,
			maxLifetimeMillis: 1_800_000,
		});
	});

	it("leaves what is given as it is", () => {
		const given = { validateAfterIdleMillis: 500, idleTimeoutMillis: 7_000, maxLifetimeMillis: 9_000 };
		expect(resolved({ preset, ...given })).to.deep.equal(given);
		expect(resolved({ preset, idleTimeoutMillis: undefined })).to.include({ idleTimeoutMillis: 300_000 });
		expect(resolved({ preset, maxLifetimeSeconds: 60 })).to.include({ maxLifetimeMillis: 0 });
	});

	it("is refused when it does not exist", () => {
		for (const wrong of ["pgbouncer", "toString", "", 5, null]) {
			const error = thrown(() => new Pool({ preset: wrong as never }));
			expect(error).to.be.instanceOf(OptionError).and.to.include({ option: "preset" });
			expect(error.message).to.include("must be one of: transaction-pooler");
		}
	});

	const parameters: [string, PoolConfig][] = [
		["statement_timeout", { statement_timeout: 1_000 }],
		["lock_timeout", { lock_timeout: 1_000 }],
		["idle_in_transaction_session_timeout", { idle_in_transaction_session_timeout: 1_000 }],
		["options", { options: "-c search_path=mine" }],
		["replication", { replication: "database" } as PoolConfig],
		["options", { connectionString: "postgres://localhost/db?options=-c%20work_mem%3D64MB" }],
		["statement_timeout", { connectionString: "postgres://localhost/db?statement_timeout=1000" }],
	];
	for (const [option, config] of parameters) {
		it(`refuses ${JSON.stringify(config)}, which is for a session`, () => {
			const error = thrown(() => new Pool({ preset, ...config }));
			expect(error).to.be.instanceOf(OptionError).and.to.include({ option });
			expect(error.message).to.include("use alter role ... set, or set local in a transaction");
			new Pool(config);
		});
	}

	it("refuses what PGOPTIONS would set", () => {
		process.env["PGOPTIONS"] = "-c work_mem=64MB";
		try {
			expect(thrown(() => new Pool({ preset }))).to.include({ option: "options" });
		} finally {
			delete process.env["PGOPTIONS"];
		}
	});
});
