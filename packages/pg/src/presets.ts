/** What differs for a pool whose server is no server, but a pooler that lends one for the time of a transaction. */
import { OptionError } from "@forksafe/core";
import pg from "pg";
import type { ClientConfig } from "./client.ts";
import { internals } from "./pg-internals.ts";
import { refuseToPrepare } from "./prepare-options.ts";

/**
 * What a pool stands in front of.
 *
 * `transaction-pooler`: PgBouncer in transaction mode, Supavisor on its transaction port, RDS Proxy. Defaults that differ, for
 * whatever the application does not give itself:
 *
 * | option | value | why |
 * |---|---|---|
 * | `validateAfterIdleMillis` | 0 (never) | a question waits for a free server connection like any query, an empty one too: when all are taken, or the pooler is paused, it gets no answer, and connections that are well are closed |
 * | `keepAliveInitialDelayMillis` | 10 s | in its place: a host that has gone silent is noticed 20 s after its last word (Node asks ten times, one second apart) |
 * | `idleTimeoutMillis` | 5 min | a pooler's connections are cheap, and those to RDS Proxy take a TLS handshake and a login; below the 350 s of AWS's load balancers and the 30 min of RDS Proxy (`IdleClientTimeout`). PgBouncer and Supavisor have no limit by default (`client_idle_timeout` 0) |
 * | `maxLifetimeMillis` | 30 min | below the 24 h after which RDS Proxy ends every connection; and after a fail-over the poolers share the load again within this time. (PgBouncer's `server_lifetime`, 1 h, is that of its own connections) |
 *
 * And what a server says to one session (it shuts down, a backend was ended) concerns that one alone: the pool's other connections
 * are the pooler's. Start-up parameters that poolers refuse or ignore are refused: `statement_timeout`, `lock_timeout`,
 * `idle_in_transaction_session_timeout`, `options`, `replication`. So is `prepare`, for which it says what to do.
 *
 * @see https://www.pgbouncer.org/config.html
 * @see https://github.com/supabase/supavisor (`lib/supavisor/tenants/tenant.ex`)
 * @see https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-connections.html
 * @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html (`idle timeout`)
 */
export type Preset = "transaction-pooler";

/** The defaults of a preset. The names are those of @forksafe/pg. */
export interface PresetDefaults {
	readonly validateAfterIdleMillis: number;
	readonly keepAliveInitialDelayMillis: number;
	readonly idleTimeoutMillis: number;
	readonly maxLifetimeMillis: number;
}

const PRESETS: Readonly<Record<Preset, PresetDefaults>> = {
	"transaction-pooler": {
		validateAfterIdleMillis: 0,
		keepAliveInitialDelayMillis: 10_000,
		idleTimeoutMillis: 300_000,
		maxLifetimeMillis: 1_800_000,
	},
};

/** What pg sends when it connects, and holds for the session: there is none. */
const SESSION_PARAMETERS = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "options", "replication"];

/**
 * @returns the defaults of a preset; undefined where none was given
 * @throws OptionError (ERR_FORKSAFE_OPTION) for one that does not exist
 */
export function presetDefaults(preset: unknown): PresetDefaults | undefined {
	if (preset === undefined) return undefined;
	if (typeof preset === "string" && Object.hasOwn(PRESETS, preset)) return PRESETS[preset as Preset];
	throw new OptionError("preset", preset, `must be one of: ${Object.keys(PRESETS).join(", ")}`);
}

/**
 * Looks at what pg would send for a session, wherever that comes from: options, connection string, `PGOPTIONS`.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION) for what a transaction pooler refuses, or ignores
 */
export function refuseSessionParameters(config: string | ClientConfig): void {
	const settings = typeof config === "string" ? { connectionString: config } : config;
	refuseToPrepare(settings.prepare);
	// What opens no socket, and calls no function of the application.
	const stream: unknown = new pg.Connection().stream;
	const { connectionParameters } = internals(new pg.Client({ ...settings, stream } as pg.ClientConfig));
	for (const name of SESSION_PARAMETERS) {
		const value = (connectionParameters as unknown as Record<string, unknown>)[name];
		if (!value) continue;
		const remedy =
			"is for a session, which a transaction pooler does not have: use alter role ... set, or set local in a transaction";
		throw new OptionError(name, value, remedy);
	}
}
