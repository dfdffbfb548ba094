const NAMES = ["password", "password1", "password2", "password3", "passwordSha1"];

/** Of mysql2's configuration of a connection: whoever prints a pool, a connection, or what is published of one, prints all of it. */
export function hidePasswords(config: object): void {
	for (const name of NAMES) if (Object.hasOwn(config, name)) Object.defineProperty(config, name, { enumerable: false });
}
