import pg from "pg";
import { getpid } from "./posix-fork.ts";

/** What stands before the name of a session, in its application name. */
export const SESSION_MARK = "#";

/**
 * From now on every connection of pg in this process and its children, ours and plain ones, has a name of its own behind its
 * application name. Behind a pooler in transaction mode that is what tells sessions apart: their statements run on whichever
 * backend is free, and the application name goes with them.
 */
export function nameSessions(): void {
	const prototype = pg.Client.prototype as unknown as { getStartupConf(): { application_name?: string } };
	const { getStartupConf } = prototype;
	let opened = 0;
	prototype.getStartupConf = function () {
		const settings = getStartupConf.call(this);
		// Not random: forked children draw the same numbers.
		const name = `${getpid()}.${++opened}`;
		return { ...settings, application_name: `${settings.application_name ?? ""}${SESSION_MARK}${name}` };
	};
}
