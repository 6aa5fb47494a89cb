import type { ComponentChildren } from "preact";
import type { Share } from "./api";

export function Problem({ text }: { text: string | null }) {
  return text ? <p class="problem" role="alert">{text}</p> : null;
}

export const percent = (value: number | null | undefined) =>
  value === null || value === undefined ? "-" : `${(100 * value).toFixed(1)}\u00a0%`;
export const count = (value: number) => value.toLocaleString("en");
export const seconds = (ms: number | null) => (ms === null ? "-" : `${(ms / 1000).toFixed(1)}\u00a0s`);

/** A share with its interval as a bar, and a mark where chance would be. */
export function ShareBar({ share, mark, label }: { share: Share; mark?: number; label: string }) {
  if (share.value === null || share.low === null || share.high === null) return <p class="hint">No votes to tell from yet.</p>;
  const x = (value: number) => `${(100 * value).toFixed(2)}`;
  return (
    <svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img"
      aria-label={`${label}: ${percent(share.value)}, from ${percent(share.low)} to ${percent(share.high)}`}>
      <rect class="track" x="0" y="3" width="100" height="2" />
      <rect class="interval" x={x(share.low)} y="2" width={x(share.high - share.low)} height="4" />
      <rect class="value" x={x(Math.max(0, share.value - 0.004))} y="0.5" width="0.8" height="7" />
      {mark === undefined ? null : <rect class="mark" x={x(Math.max(0, mark - 0.002))} y="0" width="0.4" height="8" />}
    </svg>
  );
}

export function Card({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="card">
      <h2>{title}</h2>
      {children}
    </section>
  );
}
