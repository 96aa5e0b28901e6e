//! The crate through its public interface: recorded cases, bad input, batches from several threads.

#[cfg(test)]
mod cached;
#[cfg(test)]
mod common;
#[cfg(test)]
mod corpora;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod vocabularies;
