import { defineConfig } from "vite";

// The server's pages: one script, which the server hands out beside app/index.html and app/style.css.
export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    lib: { entry: "app/main.tsx", name: "imagerankApp", formats: ["iife"], fileName: () => "app.js" },
    target: "es2020",
    copyPublicDir: false,
  },
});
