/** The application of `integration/snapshot.test.ts` through the pools that forksafe stands in for: no snapshot of it is ever written. */
import { existsSync } from "node:fs";
import { expect } from "chai";
import { postgresUrl } from "../support/server-urls.ts";
import { BundledProgram } from "../support/start-up-snapshot.ts";

/** The build with forksafe's pools takes 1 to 8 s. */
const DEADLINE_MILLIS = 30_000;

describe("without forksafe, the build of a start-up snapshot", function () {
	this.timeout(60_000);
	let application: BundledProgram;

	before("bundle it", async () => {
		application = await BundledProgram.of(new URL("../programs/snapshot-app.ts", import.meta.url));
	});

	after(() => application?.remove());

	it("never ends, although everything was answered: idle connections keep the event loop alive", async () => {
		const { reports, timedOut, output } = await application.build({
			deadlineMillis: DEADLINE_MILLIS,
			env: { DATABASE_URL: postgresUrl("TCP"), FORKSAFE_TEST_POOLS: "plain" },
		});
		expect(reports, output).to.have.lengthOf(1);
		expect(timedOut, output).to.equal(true);
		expect(existsSync(application.blob)).to.equal(false);
	});
});
