/** The tables of options: texts from the TSDoc, values from pools that were made without any option. */
import { type Pool as CorePool, defaultPoolOptions, OptionError } from "@forksafe/core";
import { ForkSafePostgres } from "@forksafe/knex";
import { Pool } from "@forksafe/pg";
import knex, { type Knex } from "knex";
import { table } from "./markdown.ts";
import { type DocumentedProperty, propertiesOf } from "./source-comments.ts";

type Values = Readonly<Record<string, unknown>>;

const root = new URL("../../", import.meta.url);
const coreDefaults: Values = { ...defaultPoolOptions };
const coreOptions = propertiesOf(new URL("packages/core/src/options.ts", root), "PoolOptions");
const pgOptions = propertiesOf(new URL("packages/pg/src/options.ts", root), "PoolConfig");
const knexOptions = propertiesOf(new URL("packages/knex/src/tarn-options.ts", root), "TarnPoolOptions");

/** What an application sets first. The others are in the long table. */
const IN_SHORT = [
	"max",
	"min",
	"maxPending",
	"validateAfterIdleMillis",
	"idleTimeoutMillis",
	"maxLifetimeMillis",
	"leakThresholdMillis",
	"processWatch",
	"onProcessChange",
];
/** They have no value that could be printed: the comment says what happens without them. */
const WITHOUT_VALUE = ["permits", "onProcessChange", "log", "clock", "random"];
/** Knex's own word for an option of the engine, and what an option of pg stands for there. */
const KNEX_NAMES: Partial<Record<string, string>> = {
	connectTimeoutMillis: "createTimeoutMillis",
	maintenanceIntervalMillis: "reapIntervalMillis",
};
const PG_NAMES: Partial<Record<string, string>> = {
	acquireTimeoutMillis: "connectionTimeoutMillis",
	connectTimeoutMillis: "connectionTimeoutMillis",
};
/** What the Knex client tells its TarnPool, and nobody else. */
const OF_THE_CLIENT = ["create", "destroy", "ping", "isTransient", "ref", "unref", "discard"];

/** For the README. */
export function shortTable(): string {
	const chosen = coreOptions.filter(({ name }) => IN_SHORT.includes(name));
	return optionTable(chosen.map((option) => ({ ...option, text: inShort(option.text) })));
}

/** The first sentence, and what 0 means. */
function inShort(text: string): string {
	return [/^.*?\.(?= |$)/, / 0: [^.]+\.$/].map((sentence) => sentence.exec(text)?.[0] ?? "").join("");
}

/** For docs/options.md: every option of core's pool, and what it is called and set to by pg (and Kysely) and by Knex. */
export function longTable(): string {
	return optionTable(coreOptions);
}

/** For docs/options.md: what only `@forksafe/pg` adds to the options of pg. */
export function pgTable(): string {
	return ownTable(pgOptions, PG_NAMES);
}

/** For docs/options.md: what Knex's `pool` takes besides. */
export function knexTable(): string {
	const options = knexOptions
		.filter(({ name }) => !OF_THE_CLIENT.includes(name))
		.map((option) => ({ ...option, fallback: jsonOf(knexDefaults[option.name]) ?? option.fallback }));
	return ownTable(options, KNEX_NAMES);
}

function optionTable(chosen: readonly DocumentedProperty[]): string {
	return table(
		["option", "core", "pg, Kysely", "Knex", ""],
		chosen.map((option) => [
			`\`${option.name}\``,
			shown(option, coreDefaults),
			ofFace(option, PG_NAMES, takesInPg, pgDefaults),
			ofFace(option, KNEX_NAMES, takesInKnex, knexDefaults),
			option.name === "processWatch" ? PROCESS_WATCH : option.text,
		]),
	);
}

const PROCESS_WATCH =
	'How the pool notices that its process has changed. "once": it stops looking after the first change, as pre-fork servers change once. "off": it never looks. A change that is announced is obeyed in all three.';

function ownTable(options: readonly DocumentedProperty[], names: Partial<Record<string, string>>): string {
	const known = new Set([...coreOptions.map(({ name }) => name), ...Object.values(names)]);
	return table(
		["option", "default", ""],
		options
			.filter(({ name, text }) => !known.has(name) && text !== "")
			.map(({ name, text, fallback }) => [`\`${name}\``, fallback ?? "", text]),
	);
}

/** @param name what the option is called there */
function shown({ name, fallback }: DocumentedProperty, values: Values, ownName = name): string {
	if (WITHOUT_VALUE.includes(name)) return fallback ?? "";
	return `\`${jsonOf(values[ownName] ?? values[name])}\``;
}

function jsonOf(value: unknown): string | undefined {
	return typeof value === "function" ? undefined : JSON.stringify(value);
}

function ofFace(
	option: DocumentedProperty,
	names: Partial<Record<string, string>>,
	takes: (options: Record<string, unknown>) => boolean,
	values: Values,
): string {
	const own = names[option.name];
	const value = shown(option, values, own);
	if (own !== undefined) return `${value}, as \`${own}\``;
	return takes({ [option.name]: coreDefaults[option.name] }) ? value : "–";
}

const pgDefaults = optionsOfEngine(new Pool(), "core");

function takesInPg(options: Record<string, unknown>): boolean {
	return isTaken(() => new Pool(options));
}

const plainKnex = knexWith({});
/** Idle resources are looked after by tarn's interface, not by the engine. */
const knexDefaults: Values = {
	...optionsOfEngine(plainKnex.client.pool, "engine"),
	...plainKnex.client.getPoolSettings(plainKnex.client.config.pool),
	idleTimeoutMillis: plainKnex.client.pool.idleTimeoutMillis,
};

function takesInKnex(options: Record<string, unknown>): boolean {
	return isTaken(() => knexWith({ min: 0, ...options }));
}

/** It connects when it is asked for something first. */
function knexWith(pool: Record<string, unknown>): Knex {
	return knex({ client: ForkSafePostgres, connection: {}, pool });
}

function isTaken(make: () => object): boolean {
	try {
		make();
		return true;
	} catch (error) {
		if (error instanceof OptionError) return false;
		throw error;
	}
}

/** The adapters keep their engine to themselves. */
function optionsOfEngine(pool: object, property: "core" | "engine"): Values {
	return { ...(Reflect.get(pool, property) as CorePool<object>).options };
}
