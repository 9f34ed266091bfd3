//! `/demo/ratings`: a small paged JSON service, so that the demo has something to extract over HTTP. The same
//! page always holds the same rows.

use axum::{Json, Router, routing::get};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::{api::extract::ApiQuery, state::State};

const PRODUCTS: u32 = 500;
const PAGE: u32 = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    page: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Ratings {
    items: Vec<Rating>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "a product's rating has a rating")]
struct Rating {
    product_id: u32,
    rating: f64,
    reviews: u32,
    at: DateTime<Utc>,
}

pub(crate) fn router() -> Router<State> {
    Router::new().route("/demo/ratings", get(ratings))
}

async fn ratings(ApiQuery(asked): ApiQuery<Asked>) -> Json<Ratings> {
    Json(page(asked.page.unwrap_or(1).max(1)))
}

fn page(number: u32) -> Ratings {
    let first = (number - 1).saturating_mul(PAGE).saturating_add(1);
    let items = (first..first.saturating_add(PAGE)).take_while(|id| *id <= PRODUCTS).map(rating).collect();
    let next = (number < PRODUCTS / PAGE).then(|| format!("/demo/ratings?page={}", number + 1));
    Ratings { items, next }
}

/// A product's rating: most near four, some poor ones, more reviews for some than for others.
fn rating(product_id: u32) -> Rating {
    let noise = product_id.wrapping_mul(2_654_435_761);
    let stars = 50 - (noise >> 8) % 14 - if noise.is_multiple_of(17) { 15 } else { 0 };
    let epoch = DateTime::UNIX_EPOCH + Duration::days(20_454);
    Rating {
        product_id,
        rating: f64::from(stars) / 10.0,
        reviews: 3 + (noise >> 16) % 900,
        at: epoch + Duration::minutes(i64::from(noise % 1_440)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_pages_hold_every_product_once() {
        let mut number = 1;
        let mut ids = Vec::new();
        loop {
            let page = page(number);
            ids.extend(page.items.iter().map(|item| item.product_id));
            assert!(page.items.iter().all(|item| (1.0..=5.0).contains(&item.rating)));
            match page.next {
                Some(next) => number = next.rsplit('=').next().and_then(|n| n.parse().ok()).expect("a page number"),
                None => break,
            }
        }
        assert_eq!(ids, (1..=PRODUCTS).collect::<Vec<_>>());
        assert!(page(u32::MAX).items.is_empty());
    }
}
