//! A journal that was cut off, or in which a bit has flipped: it opens with every commit up to the last
//! one that is whole, or it is refused.
