// What the seats of a game are called: by the board's colours where it shows them.

const SEAT_NAMES = ["First seat", "Second seat"];

// position: what op `position` answers, or null.
export function seatNameOf(position, seat) {
  const name = position?.seats?.[seat]?.name;
  return name ? name[0].toUpperCase() + name.slice(1) : SEAT_NAMES[seat];
}
