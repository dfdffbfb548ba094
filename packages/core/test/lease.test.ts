import { expect } from "chai";
import { thrown } from "../../../test/support/promises.ts";
import { scoped } from "../../../test/support/scoped.ts";
import { ReleaseError, reportProcessChange } from "../src/index.ts";
import { setUp } from "./support/set-up.ts";

describe("lease", () => {
	it("gives the connection back", async () => {
		const { pool } = setUp();
		const lease = await pool.lease();
		expect(pool.stats().used).to.equal(1);
		lease.release();
		expect(pool.stats()).to.include({ used: 0, idle: 1 });
	});

	it("never frees by a second release what somebody else holds by then", async () => {
		const { pool } = setUp({ max: 1 });
		const first = await pool.lease();
		first.release();
		const second = await pool.lease();
		expect(second.resource).to.equal(first.resource);
		expect(thrown(() => first.release())).to.be.instanceOf(ReleaseError);
		expect(pool.stats()).to.include({ used: 1, idle: 0 });
		second.release();
		expect(pool.stats()).to.include({ used: 0, idle: 1 });
	});

	it("ends with its block, and not once more when it was released in there", async () => {
		const { pool } = setUp();
		await scoped(await pool.lease(), () => expect(pool.stats().used).to.equal(1));
		expect(pool.stats()).to.include({ used: 0, idle: 1 });
		await scoped(await pool.lease(), (lease) => lease.release({ destroy: true }));
		expect(pool.stats()).to.include({ used: 0, idle: 0 });
	});

	it("of another process changes nothing when it is released", async () => {
		const { pool, driver } = setUp();
		const lease = await pool.lease();
		reportProcessChange();
		lease.release();
		expect(pool.stats()).to.include({ used: 0, idle: 0 });
		expect(driver.destroys).to.have.lengthOf(0);
	});
});
