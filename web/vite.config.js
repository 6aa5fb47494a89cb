import { defineConfig } from "vite";

// One classic script: a page that is opened from disk may not load modules.
export default defineConfig({
  build: {
    lib: { entry: "report/main.js", name: "imagerankReport", formats: ["iife"], fileName: () => "report.js" },
    target: "es2020",
    copyPublicDir: false,
  },
});
