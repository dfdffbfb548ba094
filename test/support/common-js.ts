/** The program of a module, as CommonJS has it: the imports above it as calls of `require`, and no `await` at the top. */
export function toCommonJs(program: string): string {
	const imports: string[] = [];
	const rest = program.replaceAll(/^import (?:(.*) from )?(".*");\n/gm, (_, names: string | undefined, from: string) => {
		imports.push(names === undefined ? `require(${from});` : `const ${names.replaceAll(" as ", ": ")} = require(${from});`);
		return "";
	});
	const body = /^(?:await|const .* = await) /m.test(rest) ? `void (async () => {\n${rest}})();\n` : rest;
	return `${imports.join("\n")}\n${body}`;
}
