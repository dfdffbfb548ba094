import { Pool, type PoolOptions } from "../../src/index.ts";
import { FakeClock } from "./fake-clock.ts";
import { type Connection, GatedDriver, type GatedDriverOptions } from "./gated-driver.ts";

export interface SetUp {
	readonly pool: Pool<Connection>;
	readonly driver: GatedDriver;
	readonly clock: FakeClock;
}

/** A pool over a gated driver, a fake clock, and no chance; it opens as many connections at once as it needs. */
export function setUp(options: PoolOptions & GatedDriverOptions = {}): SetUp {
	const { stopsAt, validates, ...poolOptions } = options;
	const clock = new FakeClock();
	const driver = new GatedDriver({ ...(stopsAt && { stopsAt }), ...(validates !== undefined && { validates }) });
	return {
		pool: new Pool(driver, { clock, random: () => 0, connectHeadStartMillis: 0, maxConnecting: 0, ...poolOptions }),
		driver,
		clock,
	};
}

/** Takes so many connections. */
export async function acquireMany(pool: Pool<Connection>, count: number): Promise<Connection[]> {
	return Promise.all(Array.from({ length: count }, () => pool.acquire()));
}

/**
 * A pool with so many idle connections; the one at the end was used last. If the driver validates, they have been idle for
 * so long that it is asked.
 */
export async function setUpIdle(
	count: number,
	options?: PoolOptions & GatedDriverOptions,
): Promise<SetUp & { idle: Connection[] }> {
	const built = setUp(options);
	const gated = built.driver.stopsAt.delete("connect");
	const idle = await acquireMany(built.pool, count);
	if (gated) built.driver.stopsAt.add("connect");
	for (const connection of idle) built.pool.release(connection);
	if (built.driver.validate !== undefined) built.clock.setWallBy(built.pool.options.validateAfterIdleMillis + 1);
	return { ...built, idle };
}
