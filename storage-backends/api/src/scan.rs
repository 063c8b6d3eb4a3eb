//! A scan as one run of items.

use std::vec;

use dynamo_proto::store::Space;

use crate::{Backend, Item, Limit, ScanFailed, Span};

/// All that a span holds, fetched page by page; see [`Backend::scan`] for what writes beside it do.
/// Ends after a failure.
///
/// ```
/// use dynamo_proto::store::Space;
/// use dynamo_storage::{Backend, Item, Scan, ScanFailed, Span};
///
/// fn bytes_kept(backend: &dyn Backend, span: Span) -> Result<usize, ScanFailed> {
///     let mut total = 0;
///     for item in Scan::new(backend, Space::Objects, span) {
///         if let Item::Found { bytes, .. } = item? {
///             total += bytes.len();
///         }
///     }
///     Ok(total)
/// }
/// ```
pub struct Scan<'a, B: Backend + ?Sized> {
    backend: &'a B,
    space: Space,
    limit: Limit,
    page: vec::IntoIter<Item>,
    rest: Option<Span>,
}

impl<'a, B: Backend + ?Sized> Scan<'a, B> {
    /// From the span's beginning.
    pub fn new(backend: &'a B, space: Space, span: Span) -> Self {
        Self::by(backend, space, span, Limit::default())
    }

    /// With pages of this size.
    pub fn by(backend: &'a B, space: Space, span: Span, limit: Limit) -> Self {
        Self {
            backend,
            space,
            limit,
            page: Vec::new().into_iter(),
            rest: Some(span),
        }
    }
}

impl<B: Backend + ?Sized> Iterator for Scan<'_, B> {
    type Item = Result<Item, ScanFailed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.page.next() {
                return Some(Ok(item));
            }
            let span = self.rest.take()?;
            match self.backend.scan(self.space, &span, self.limit) {
                Ok(page) => {
                    self.page = page.items.into_iter();
                    self.rest = page.rest;
                }
                Err(failed) => return Some(Err(failed)),
            }
        }
    }
}
