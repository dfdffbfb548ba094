import { generate } from "selfsigned";

/** A key and a certificate for 127.0.0.1 that nobody else has signed, as PEM. */
export async function selfSignedCertificate(): Promise<{ key: string; cert: string }> {
	const { cert, private: key } = await generate([{ name: "commonName", value: "localhost" }], {
		keyType: "ec",
		algorithm: "sha256",
		extensions: [
			{
				name: "subjectAltName",
				altNames: [
					{ type: 2, value: "localhost" },
					{ type: 7, ip: "127.0.0.1" },
				],
			},
		],
	});
	return { key, cert };
}
