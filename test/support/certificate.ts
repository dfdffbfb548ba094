import { generate } from "selfsigned";

/** As PEM. */
export interface KeyAndCertificate {
	readonly key: string;
	readonly cert: string;
}

/** A key and a certificate for 127.0.0.1 that nobody else has signed. */
export function selfSignedCertificate(): Promise<KeyAndCertificate> {
	return issue("localhost", LOCAL);
}

/** Whoever trusts its certificate trusts those that it signs. */
export function certificateAuthority(): Promise<KeyAndCertificate> {
	return issue("an authority of the tests", [
		{ name: "basicConstraints", cA: true, critical: true },
		{ name: "keyUsage", keyCertSign: true, critical: true },
	]);
}

/** A key and a certificate that serve a server on 127.0.0.1, and a client who calls itself by this name. */
export function signedCertificate(authority: KeyAndCertificate, commonName = "localhost"): Promise<KeyAndCertificate> {
	return issue(commonName, LOCAL, authority);
}

type Extensions = NonNullable<Parameters<typeof generate>[1]>["extensions"] & object;

const LOCAL: Extensions = [
	{
		name: "subjectAltName",
		altNames: [
			{ type: 2, value: "localhost" },
			{ type: 7, ip: "127.0.0.1" },
		],
	},
];

async function issue(commonName: string, extensions: Extensions, ca?: KeyAndCertificate): Promise<KeyAndCertificate> {
	const { cert, private: key } = await generate([{ name: "commonName", value: commonName }], {
		keyType: "ec",
		algorithm: "sha256",
		extensions,
		...(ca && { ca }),
	});
	return { key, cert };
}
