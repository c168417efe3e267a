// Put the scripts of others that the page uses into services/page/vendor, of the packages that npm has installed:
//     node tools/page_bundle/build.mjs PACKAGES
// PACKAGES is the folder with node_modules. What lies in vendor/ is replaced at the end, so that it is whole or not there.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const packages = resolve(process.argv[2], "node_modules");
const vendor = resolve(here, "../../services/page/vendor");
const made = `${vendor}.new`;
const esbuild = createRequire(join(packages, "x.js"))("esbuild");

// Licenses of all packages of which a part is in a bundle stand beside it.
const licenses = new Map();

async function bundle(name, entry) {
    const built = await esbuild.build({
        entryPoints: [entry],
        bundle: true,
        format: "esm",
        legalComments: "none",
        metafile: true,
        minify: true,
        nodePaths: [packages],
        outfile: join(made, name),
        target: "es2022",
    });
    for (const input of Object.keys(built.metafile.inputs)) {
        const found = resolve(input).slice(packages.length + 1).match(/^(@[^/]+\/)?[^/]+/);
        if (resolve(input).startsWith(packages)) licenses.set(found[0], licenseOf(found[0]));
    }
}

function licenseOf(name) {
    const folder = join(packages, name);
    const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
    return `${name} ${JSON.parse(readFileSync(join(folder, "package.json"))).version}\n\n${readFileSync(join(folder, file), "utf8")}`;
}

rmSync(made, { recursive: true, force: true });
mkdirSync(join(made, "aladin"), { recursive: true });
await bundle("editor.js", join(here, "editor.mjs"));
await bundle("uplot.js", join(packages, "uplot/dist/uPlot.esm.js"));
await bundle("uplot.css", join(packages, "uplot/dist/uPlot.min.css"));
// GPL: used as it is, in a folder of its own, which is not put into the wheel.
for (const file of ["LICENSE", "COPYING", "dist/aladin.js"]) {
    copyFileSync(join(packages, "aladin-lite", file), join(made, "aladin", file.replace("dist/", "")));
}
writeFileSync(join(made, "licenses.txt"), [...licenses.values()].sort().join(`\n${"-".repeat(80)}\n\n`));
rmSync(vendor, { recursive: true, force: true });
renameSync(made, vendor);
